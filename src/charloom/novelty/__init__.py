"""Detection of text that is copied from a corpus."""
