"""Sweeps: training with many combinations of settings, one run for each combination and seed."""
