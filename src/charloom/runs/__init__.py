"""Training runs in folders: plan, start, execution and trackers. For the command line, sweeps and Python programs."""
