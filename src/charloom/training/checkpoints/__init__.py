"""Checkpoints of a training run: their contents, their files, the folder that keeps them, and resuming from them."""
