"""Texts: sources, clean-up and encoding as ids."""
