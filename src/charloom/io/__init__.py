"""Atomic writes, locks on folders, validated reading of files, and pictures."""
