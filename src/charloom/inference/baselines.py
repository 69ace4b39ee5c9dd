"""Baselines without a model: simple statistics, and compressors of Python's library and of the machine."""

import bz2
import gzip
import lzma
import math
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 600
"""After which a compressor is given up."""
_PPMD = "-m0=PPMd:o=6:mem=256m"


@dataclass(frozen=True)
class Baseline:
    """A text by a simple means.

    Attributes:
        total_bits: What the whole text takes.
        note: What must be known to read the figure.
        compressed: Whether it is what a compressor wrote, headers and all.
    """

    name: str
    total_bits: float
    note: str
    compressed: bool = False


def measure_baselines(text: str | bytes, vocabulary_size: int) -> list[Baseline]:
    """Uniform, unigram, gzip and xz on one non-empty text."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    unigram = sum(count * math.log2(len(text) / count) for count in Counter(text).values())
    return [
        Baseline("uniform", len(text) * math.log2(vocabulary_size), f"blind guessing among {vocabulary_size} tokens"),
        Baseline("unigram", unigram, "this text's own character frequencies, known beforehand"),
        Baseline("gzip -9", 8 * _gzip(data), "this text, compressed", compressed=True),
        Baseline("xz -9e", 8 * _xz(data), "this text, compressed", compressed=True),
    ]


def measure_compressors(data: bytes) -> dict[str, int | None]:
    """The bytes that compressors make of the data at their best level; None for a command that the machine lacks."""
    return {
        "gzip -9": _gzip(data),
        "bzip2 -9": len(bz2.compress(data, 9)),
        "xz -9e": _xz(data),
        "zstd -19": _run(data, ["zstd"], "-19", "-q", "-c", "x"),
        "brotli -q 11": _run(data, ["brotli"], "-q", "11", "-c", "x"),
        # Archives of one file: their names and headers count, some hundred bytes.
        "7z PPMd": _run(data, ["7zz", "7z", "7za", "7zr"], "a", "-bd", _PPMD, "x.7z", "x", made="x.7z"),
        "zpaq -m5": _run(data, ["zpaq"], "a", "x.zpaq", "x", "-m5", "-t1", made="x.zpaq"),
    }


def _gzip(data: bytes) -> int:
    return len(gzip.compress(data, 9, mtime=0))


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _run(data: bytes, names: list[str], *options: str, made: str | None = None) -> int | None:
    """Size of what the first of these commands makes of the file ``x`` (``made``, or its output); None if it fails."""
    command = next(filter(None, map(shutil.which, names)), None)
    if command is None:
        return None
    with tempfile.TemporaryDirectory(prefix="charloom-") as folder:
        (Path(folder) / "x").write_bytes(data)
        try:
            done = subprocess.run(
                [command, *options],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=folder,
                timeout=_SECONDS,
                check=True,
            )
            return (Path(folder) / made).stat().st_size if made else len(done.stdout)
        except (OSError, subprocess.SubprocessError):
            return None
