"""A training run in a folder: its plan, its start, its outcome. Used by the command line, sweeps and Python alike."""
