"""The whole table of uses, ``USES``."""

import importlib

from torch_uses import USES

__all__ = ["USES"]

for subject in ("calls", "memory", "derivatives", "arguments"):
    importlib.import_module(f"torch_uses_of_{subject}")  # each import adds its rows
