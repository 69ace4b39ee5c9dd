"""What other compressors make of some bytes: those of Python's own library, and those that the machine has."""

import bz2
import gzip
import importlib
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 600
_SEVEN_ZIPS = ("7zz", "7z", "7za", "7zr")


@dataclass(frozen=True)
class Compressed:
    """Some bytes by one compressor.

    Attributes:
        name: Which, with its level.
        num_bytes: What they take; None where the machine does not have it.
    """

    name: str
    num_bytes: int | None


def measure_compressors(data: bytes) -> list[Compressed]:
    """gzip, bzip2, xz, and zstd, brotli, PPMd and zpaq where their commands or modules are there; at their best."""
    return [
        Compressed("gzip -9", len(gzip.compress(data, 9, mtime=0))),
        Compressed("bzip2 -9", len(bz2.compress(data, 9))),
        Compressed("xz -9e", len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))),
        Compressed("zstd -19", _zstd(data)),
        Compressed("brotli -q 11", _first(data, _brotli_module, _brotli_command)),
        Compressed("7z PPMd", _ppmd(data)),
        Compressed("zpaq -m5", _zpaq(data)),
    ]


def _first(data: bytes, *ways: Callable[[bytes], int | None]) -> int | None:
    return next((size for way in ways if (size := way(data)) is not None), None)


def _zstd(data: bytes) -> int | None:
    return _filter(data, "zstd", "-19", "-q", "-c")


def _brotli_command(data: bytes) -> int | None:
    return _filter(data, "brotli", "-q", "11", "-c")


def _brotli_module(data: bytes) -> int | None:
    try:
        brotli = importlib.import_module("brotli")
    except ImportError:
        return None
    return len(brotli.compress(data, quality=11))


def _ppmd(data: bytes) -> int | None:
    """As an archive of one file; its names and headers are counted, some hundred bytes."""
    command = next((path for name in _SEVEN_ZIPS if (path := shutil.which(name))), None)
    if command is None:
        return None
    return _archive(data, "x.7z", command, "a", "-bd", "-m0=PPMd:o=6:mem=256m", "x.7z", "x")


def _zpaq(data: bytes) -> int | None:
    """Likewise."""
    command = shutil.which("zpaq")
    return None if command is None else _archive(data, "x.zpaq", command, "a", "x.zpaq", "x", "-m5", "-t1")


def _archive(data: bytes, name: str, *command: str) -> int | None:
    """What a command makes of the file ``x`` in its folder."""
    with tempfile.TemporaryDirectory(prefix="charloom-") as folder:
        (Path(folder) / "x").write_bytes(data)
        done = _run(list(command), folder=folder)
        archive = Path(folder) / name
        return archive.stat().st_size if done is not None and archive.exists() else None


def _filter(data: bytes, name: str, *options: str) -> int | None:
    """A command from its standard input to its standard output."""
    command = shutil.which(name)
    output = None if command is None else _run([command, *options], data=data)
    return None if output is None else len(output)


def _run(command: list[str], *, data: bytes = b"", folder: str | None = None) -> bytes | None:
    """Standard output; None where it failed, as a command that does not do what it should is as good as none."""
    try:
        done = subprocess.run(command, input=data, capture_output=True, cwd=folder, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
