"""Other compressors, primed with a text's first part: the size of the whole minus the size of that part.

A request is a JSON line with ``method``, ``first`` and ``rest`` (files), ``records`` (true to compress each line of the
rest alone), and ``primed``. The answer is ``bytes`` in total, or ``refused`` with the reason. The method "versions"
returns the versions of the compressors.
"""

import bz2
import importlib.metadata
import lzma
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pyppmd
import zstandard
from worker import answer_requests

_ZPAQ_SMALL_FILE, _ZPAQ_ZEROS = 1 << 20, 60_000
"""Size up to which zpaq uses smaller tables, and the number of zeros to exceed it.

If only the whole text exceeds it, zeros are prepended to both files, so that the same tables are used for both.
"""


def _zpaq(data: bytes) -> int:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "text").write_bytes(data)
        command = ["zpaq", "a", "archive.zpaq", "text", "-m5", "-t1"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return (Path(folder) / "archive.zpaq").stat().st_size


_SIZES: dict[str, Callable[[bytes], int]] = {
    "zpaq -m5": _zpaq,
    "PPMd order 6": lambda data: len(pyppmd.compress(data, max_order=6, mem_size=64 << 20, variant="H")),
    "brotli 11": lambda data: len(brotli.compress(data, quality=11, lgwin=24)),
    "xz -9e": lambda data: len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
    "zstd -19": lambda data: len(zstandard.ZstdCompressor(level=19).compress(data)),
    "bzip2 -9": lambda data: len(bz2.compress(data, 9)),
}


def _stream_size(method: str, first: bytes, rest: bytes, primed: bool) -> int:
    size = _SIZES[method]
    if not primed:
        return size(rest)
    if method.startswith("zpaq") and len(first) <= _ZPAQ_SMALL_FILE < len(first) + len(rest):
        first = bytes(_ZPAQ_ZEROS) + first
    return size(first + rest) - size(first)


def _records_size(method: str, first: bytes, records: list[bytes]) -> int:
    if method == "zstd -19, dictionary":
        dictionary = zstandard.train_dictionary(32 << 10, first.splitlines())
        parameters = zstandard.ZstdCompressionParameters.from_level(
            19, write_content_size=False, write_dict_id=False, write_checksum=False
        )
        compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
        return sum(len(compressor.compress(record)) for record in records)
    if method == "zlib -9, dictionary":
        total = 0
        for record in records:
            with_dictionary = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=first[-32768:])
            total += len(with_dictionary.compress(record)) + len(with_dictionary.flush())
        return total
    size = _SIZES[method]
    first_size = size(first)
    return sum(size(first + record) - first_size for record in records)


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("brotli", "pyppmd", "zstandard")}
    if shutil.which("zpaq"):
        banner = subprocess.run(["zpaq"], check=False, capture_output=True, text=True).stdout
        versions["zpaq"] = " ".join(banner.split()[1:2])
    return versions


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    method = request["method"]
    if method == "versions":
        return _versions()
    if method.startswith("zpaq") and not shutil.which("zpaq"):
        return {"refused": "zpaq is not installed (Debian has it as zpaq)"}
    first, rest = Path(request["first"]).read_bytes(), Path(request["rest"]).read_bytes()
    if request["records"]:
        return {"bytes": _records_size(method, first, rest.removesuffix(b"\n").split(b"\n"))}
    return {"bytes": _stream_size(method, first, rest, request["primed"])}


if __name__ == "__main__":
    answer_requests(_answer)
