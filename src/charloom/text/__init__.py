"""Texts: sources, normalization and encoding as ids."""
