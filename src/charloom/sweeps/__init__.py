"""Sweeps: the same training under many settings, each combination and seed a run of its own."""
