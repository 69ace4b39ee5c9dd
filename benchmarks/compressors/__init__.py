"""What the compression benchmarks share: texts and models, our engines, a picture."""
