"""Peers that charloom is compared with, each in its own environment and process."""
