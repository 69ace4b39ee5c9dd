"""The command line of compression; no logic."""
