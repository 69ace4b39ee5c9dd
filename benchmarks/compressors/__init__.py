"""The parts that the compression benchmarks share: texts, models, charloom's engines, and the picture."""
