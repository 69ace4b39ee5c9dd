"""The version: that of ``charloom_codec``, which is released with it."""

from charloom_codec.version import __version__ as __version__
