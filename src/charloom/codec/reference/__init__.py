"""The specification of what engines compute, in plain Python; it imports no native code."""
