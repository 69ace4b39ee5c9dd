"""Checks of an installation: its packages, its native code, its cache folder and its threads."""
