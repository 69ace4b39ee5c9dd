"""Validated reading of safetensors and JSON files from untrusted sources, without PyTorch."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

_MAX_HEADER_BYTES = 100 * 2**20
"""Maximum size of a header: the safetensors library rejects larger ones."""


def read_tensor_file(path: Path, preamble: int = 0) -> bytes:
    """Returns the safetensors data in a file, after ``preamble`` bytes. Reads no tensors from an incomplete file.

    Raises OSError, ValueError or RecursionError if it is not such a file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size - preamble
        file.seek(preamble)
        length = int.from_bytes(file.read(8), "little")
        # Checked before reading: the length is the file's own claim, and could exhaust the memory.
        if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
            raise ValueError("its header extends beyond its end")
        try:
            listed = parse_json(file.read(length))
            # A file from an interrupted copy ends before its last tensor does.
            end = max((entry["data_offsets"][1] for name, entry in listed.items() if name != "__metadata__"), default=0)
            is_complete = 8 + length + end == size
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"unexpected header ({error!r})") from None
        if not is_complete:
            raise ValueError("its size does not match its tensors")
        file.seek(preamble)
        return file.read(size)


def read_metadata(data: bytes) -> dict[str, str]:
    """Returns the metadata of data from ``read_tensor_file``. Raises ValueError if the header is invalid."""
    metadata = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    if not isinstance(metadata, dict):
        raise ValueError("unexpected header")
    return metadata


def sort_metadata(data: bytes) -> bytes:
    """Returns the data with its metadata sorted by name."""
    # The library writes metadata in random order; sorted, equal tensors make equal files.
    length = int.from_bytes(data[:8], "little")
    header = parse_json(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    sorted_header = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
    return len(sorted_header).to_bytes(8, "little") + sorted_header + data[8 + length :]


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading. Raises OSError if it cannot be opened or is not a regular file."""
    # Reading a pipe or device could block forever; O_NONBLOCK keeps the opening itself from blocking.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, "rb")


def parse_json(data: bytes) -> Any:
    """Parses standard JSON. Raises ValueError or RecursionError for anything else, including NaN and infinity."""
    # Python's parser accepts NaN and Infinity by default, which are not JSON.
    return json.loads(data, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
