"""Lossless compression with a language model, bit-exact on any machine. Decompression needs no PyTorch."""
