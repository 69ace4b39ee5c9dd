"""Reading files of safetensors, and of JSON, that may come from anywhere. Needs no PyTorch."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

_MAX_HEADER_BYTES = 100 * 2**20
"""Of safetensors: that library takes no larger one."""


def read_tensor_file(path: Path, preamble: int = 0) -> bytes:
    """The safetensors in a file, after so many bytes of something else. Nothing is read of one that is not whole.

    Raises OSError, ValueError or RecursionError for what is no such file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size - preamble
        file.seek(preamble)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
            raise ValueError("its header does not end within it")
        try:
            listed = parse_json(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in listed.items() if name != "__metadata__"), default=0)
            whole = 8 + length + end == size
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"a header of another kind ({error!r})") from None
        if not whole:
            raise ValueError("it is not as long as its tensors")
        file.seek(preamble)
        return file.read(size)


def metadata_of(data: bytes) -> dict[str, str]:
    """What a writer said of its tensors. data: As ``read_tensor_file`` gives it. Raises ValueError for what is none."""
    metadata = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    if not isinstance(metadata, dict):
        raise ValueError("a header of another kind")
    return metadata


def open_regular(path: Path) -> BinaryIO:
    """Opens a file to read. Raises OSError, for a pipe or device too, which would make its reader wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a file")
    return os.fdopen(descriptor, "rb")


def parse_json(data: bytes) -> Any:
    """JSON as the standard has it. Raises ValueError or RecursionError for anything else, NaN and infinity included."""
    return json.loads(data, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
