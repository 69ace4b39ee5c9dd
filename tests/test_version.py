"""The single definition of the version."""

import importlib.metadata
import subprocess
import sys

import charloom
from charloom_codec.version import __version__


def test_the_installed_package_has_the_version() -> None:
    assert charloom.__version__ == __version__ == importlib.metadata.version("charloom")
    assert importlib.metadata.version("charloom-codec") == __version__
    required = importlib.metadata.requires("charloom") or []
    assert f"charloom-codec=={__version__}" in required


def test_reading_the_version_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import charloom_codec.version; print(*set(sys.modules) - before)"
    found = subprocess.check_output([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"])
    assert {name for name in found.decode().split() if name.startswith("charloom")} <= {
        "charloom_codec",
        "charloom_codec.version",
    }
