"""Other compressors as functions from bytes to bytes, and measurement of their sizes and CPU times."""

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
    """A compressor and its decompressor."""

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


def _command(name: str, compress: Sequence[str], decompress: Sequence[str], *, archive: str = "") -> Compressor:
    """Returns a compressor that runs commands: filters, or archivers of the file ``x`` if ``archive`` is given."""

    def run(command: Sequence[str], data: bytes, source: str, target: str) -> bytes:
        if not archive:
            return subprocess.run(command, input=data, capture_output=True, check=True).stdout
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / source).write_bytes(data)
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            return (Path(folder) / target).read_bytes()

    return Compressor(
        name,
        lambda data: run(compress, data, "x", archive),
        lambda data: run(decompress, data, archive, "x"),
    )


def compressors() -> list[Compressor]:
    """Returns the compressors that are installed."""
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
    # The 7-Zip command is named differently by distribution and version.
    if seven := next((name for name in ("7zz", "7z", "7za", "7zr") if shutil.which(name)), None):
        command = [seven, "a", "-bd", "-m0=PPMd:o=6:mem=256m", "x.7z", "x"]
        found.append(_command("7z PPMd", command, [seven, "x", "-bd", "x.7z"], archive="x.7z"))
    if shutil.which("zpaq"):
        command = ["zpaq", "a", "x.zpaq", "x", "-m5", "-t1"]
        found.append(_command("zpaq -m5", command, ["zpaq", "x", "x.zpaq", "-t1"], archive="x.zpaq"))
    return found


def primed_size(compressor: Compressor, first: bytes, rest: bytes) -> int:
    """Returns the size of the rest after the first part: the size of both together minus that of the first part.

    Headers of a fixed size cancel out.
    """
    return len(compressor.compress(first + rest)) - len(compressor.compress(first))


def cpu_seconds(work: Callable[[], bytes], rounds: int) -> float:
    """Returns the minimum over rounds of the CPU seconds of this process and its children."""

    def elapsed() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    times = []
    for _ in range(rounds):
        start = elapsed()
        work()
        times.append(elapsed() - start)
    return min(times)
