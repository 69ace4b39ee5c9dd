"""Engines, which code bytes as payloads: their interface, the native engines, and the choice of one for a model."""
