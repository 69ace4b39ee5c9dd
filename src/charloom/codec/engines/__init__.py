"""Engines: what turns bytes into payloads. Their interface, the native ones, and from a model to its engine."""
