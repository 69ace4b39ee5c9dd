"""Compression: bytes to fewer bytes under a model, and back bit-exactly on any machine. Needs no PyTorch."""
