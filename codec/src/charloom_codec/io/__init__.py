"""Atomic writes, and validated reading of files."""
