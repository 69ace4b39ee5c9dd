"""The version of charloom_codec and of charloom, kept apart so that reading it imports nothing."""

__version__ = "0.1.0"
