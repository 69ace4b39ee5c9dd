"""Other compressors there and back: what they make of some bytes, and in how much processor time."""

import bz2
import gzip
import lzma
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Compressor:
    """Bytes to fewer, and back."""

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


def _command(name: str, there: Sequence[str], back: Sequence[str], *, archive: str = "") -> Compressor:
    """One that is a command: from standard input to output, or on the file ``x`` where it makes an archive."""

    def run(words: Sequence[str], data: bytes, read: str, written: str) -> bytes:
        if not archive:
            return subprocess.run(words, input=data, capture_output=True, check=True).stdout
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / read).write_bytes(data)
            subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            return (Path(folder) / written).read_bytes()

    return Compressor(
        name,
        lambda data: run(there, data, "x", archive),
        lambda data: run(back, data, archive, "x"),
    )


def compressors() -> list[Compressor]:
    """Those that this machine has."""
    xz = lzma.PRESET_EXTREME | 9
    found = [
        Compressor("gzip -9", lambda data: gzip.compress(data, 9, mtime=0), gzip.decompress),
        Compressor("bzip2 -9", lambda data: bz2.compress(data, 9), bz2.decompress),
        Compressor("xz -9e", lambda data: lzma.compress(data, preset=xz), lzma.decompress),
    ]
    if shutil.which("zstd"):
        found.append(_command("zstd -19", ["zstd", "-19", "-q", "-c"], ["zstd", "-d", "-q", "-c"]))
    if shutil.which("brotli"):
        found.append(_command("brotli -q 11", ["brotli", "-q", "11", "-c"], ["brotli", "-d", "-c"]))
    if seven := next((name for name in ("7zz", "7z", "7za", "7zr") if shutil.which(name)), None):
        there = [seven, "a", "-bd", "-m0=PPMd:o=6:mem=256m", "x.7z", "x"]
        found.append(_command("7z PPMd", there, [seven, "x", "-bd", "x.7z"], archive="x.7z"))
    if shutil.which("zpaq"):
        there = ["zpaq", "a", "x.zpaq", "x", "-m5", "-t1"]
        found.append(_command("zpaq -m5", there, ["zpaq", "x", "x.zpaq", "-t1"], archive="x.zpaq"))
    return found


def primed_size(compressor: Compressor, first: bytes, rest: bytes) -> int:
    """What the rest takes after the first part: the size of the whole less that of the first part.

    Headers that both have fall out.
    """
    return len(compressor.compress(first + rest)) - len(compressor.compress(first))


def processor_seconds(work: Callable[[], bytes], rounds: int) -> float:
    """Of this process and its children together; the least of the rounds."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    times = []
    for _ in range(rounds):
        began = used()
        work()
        times.append(used() - began)
    return min(times)
