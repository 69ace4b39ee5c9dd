"""Baselines without a model: simple statistics, and compressors in Python's standard library or on the machine."""

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

_TIMEOUT = 600
"""Seconds after which a compressor is stopped."""
_PPMD = "-m0=PPMd:o=6:mem=256m"


@dataclass(frozen=True)
class Baseline:
    """The size of a text under a simple method.

    Attributes:
        name: Name of the method, with its options.
        total_bits: Bits for the entire text.
        note: Condition under which the figure holds.
        compressed: True for the output of a compressor, including its headers.
    """

    name: str
    total_bits: float
    note: str
    compressed: bool = False


def measure_baselines(text: str | bytes, vocabulary_size: int, *, with_zpaq: bool = False) -> list[Baseline]:
    """Measures uniform, unigram, gzip and xz on a text that is not empty; with_zpaq: also zpaq, if installed."""
    # Text from Python can have lone surrogates, which strict UTF-8 does not encode.
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    unigram = sum(count * math.log2(len(text) / count) for count in Counter(text).values())
    baselines = [
        Baseline(
            "uniform", len(text) * math.log2(vocabulary_size), f"guessing uniformly among {vocabulary_size} tokens"
        ),
        Baseline("unigram", unigram, "this text's own character frequencies, known in advance"),
        Baseline("gzip -9", 8 * _gzip(data), "this text, compressed", compressed=True),
        Baseline("xz -9e", 8 * _xz(data), "this text, compressed", compressed=True),
    ]
    if with_zpaq and (size := _zpaq(data)) is not None:
        baselines.append(Baseline("zpaq -m5", 8 * size, "this text, compressed", compressed=True))
    return baselines


def measure_compressors(data: bytes) -> dict[str, int | None]:
    """Returns the bytes that each compressor takes at its best level; None for a command that is missing or fails."""
    return {
        "gzip -9": _gzip(data),
        "bzip2 -9": len(bz2.compress(data, 9)),
        "xz -9e": _xz(data),
        "zstd -19": _run(data, ["zstd"], "-19", "-q", "-c", "x"),
        "brotli -q 11": _run(data, ["brotli"], "-q", "11", "-c", "x"),
        # Archives of one file: their names and headers count, some hundred bytes.
        "7z PPMd": _run(data, ["7zz", "7z", "7za", "7zr"], "a", "-bd", _PPMD, "x.7z", "x", output_file="x.7z"),
        "zpaq -m5": _zpaq(data),
    }


def _gzip(data: bytes) -> int:
    # The time is part of gzip's header: without it, the same text always has the same bytes.
    return len(gzip.compress(data, 9, mtime=0))


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _zpaq(data: bytes) -> int | None:
    return _run(data, ["zpaq"], "a", "x.zpaq", "x", "-m5", "-t1", output_file="x.zpaq")


def _run(data: bytes, names: list[str], *options: str, output_file: str | None = None) -> int | None:
    """Runs a compressor on a file ``x`` and returns the bytes of its output; None if it is missing or fails.

    Args:
        data: Contents of the file.
        names: Names of the command, of which the first that exists is run.
        options: Options of the command.
        output_file: File that the command creates; None if it writes to standard output.
    """
    command = next(filter(None, map(shutil.which, names)), None)
    if command is None:
        return None
    # Archivers read files only, and write their name into the archive: in all cases it is one byte.
    with tempfile.TemporaryDirectory(prefix="charloom-") as folder:
        (Path(folder) / "x").write_bytes(data)
        try:
            done = subprocess.run(
                [command, *options],
                # Some archivers ask before they overwrite or create: without input they fail instead of waiting.
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd=folder,
                timeout=_TIMEOUT,
                check=True,
            )
            return (Path(folder) / output_file).stat().st_size if output_file else len(done.stdout)
        # A comparison with the other compressors is worth more than an error of one of them.
        except (OSError, subprocess.SubprocessError):
            return None
