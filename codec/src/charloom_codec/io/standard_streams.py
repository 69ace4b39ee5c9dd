"""The name of the standard streams on the command line."""

STANDARD_INPUT = "-"
"""Standard input as the name of an input file, and standard output as that of an output file."""
