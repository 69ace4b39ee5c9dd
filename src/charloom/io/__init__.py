"""Locks on folders, and pictures."""
