"""Checkpoints of a training run: contents, file format, folder, and the checks before resuming."""
