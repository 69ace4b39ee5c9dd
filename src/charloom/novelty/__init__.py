"""What of a text is copied from another."""
