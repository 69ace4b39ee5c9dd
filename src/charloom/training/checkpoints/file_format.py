"""The file format of checkpoints: a line with a checksum, then a safetensors file with JSON in its metadata.

The line is ``charloom checkpoint 1 HASH``; HASH is the SHA-256, in hexadecimal, of everything after the line. Unlike
``torch.save``, the format contains no pickle, so that reading a file executes none of its contents. The meaning of the
tensors is in ``checkpoint``.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from charloom.errors import CheckpointError
from charloom_codec.io.atomic import atomic_file
from charloom_codec.io.tensor_files import open_regular, parse_json, read_metadata, read_tensor_file

JsonObject: TypeAlias = dict[str, Any]
"""JSON values by name."""
_NAME, _VERSION = b"charloom checkpoint", b"1"
_LINE = re.compile(rb"charloom checkpoint (\S+) ([0-9a-f]{64})\n")
# The version has one character, so the line has a fixed length, and what follows it a fixed position.
_LINE_BYTES = len(b" ".join([_NAME, _VERSION, b"0" * 64])) + 1
_KEY = "run"
# The names of dtypes in a safetensors header; only those that a run can have.
_KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.uint8: "U8",
}


def write_checkpoint(path: Path, metadata: JsonObject, tensors: dict[str, Tensor]) -> None:
    """Writes the file atomically, replacing one that exists. Raises OSError if that fails."""
    chunks = _safetensors(tensors, {_KEY: json.dumps(metadata, allow_nan=False)})
    # The checksum precedes the data, so the chunks are read twice: once to hash them, once to write them.
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    with atomic_file(path, overwrite=True) as file:
        file.write(b" ".join([_NAME, _VERSION, digest.hexdigest().encode()]) + b"\n")
        for chunk in chunks:
            file.write(chunk)


def _safetensors(tensors: dict[str, Tensor], metadata: dict[str, str]) -> list[bytes | memoryview]:
    """Returns a safetensors file in chunks: the length of the header, the header, and the memory of each tensor."""
    # safetensors.torch.save would copy all tensors twice. In its order, by falling item size, every tensor is aligned.
    in_order = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))
    header: JsonObject = {"__metadata__": metadata}
    chunks = []
    end = 0
    for name, tensor in in_order:
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        # NumPy has no bfloat16, hence the view as bytes; a scalar needs the first view to have a dimension.
        chunks.append(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    text = json.dumps(header).encode()
    # Padded, as safetensors does, so that the data start at a multiple of 8 bytes.
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *chunks]


def read_checkpoint(path: Path) -> tuple[JsonObject, dict[str, Tensor]]:
    """Returns the JSON values and the tensors of a checkpoint.

    Raises:
        CheckpointError: The file cannot be read, is damaged, or has another format version; the message names the file.
    """
    try:
        with open_regular(path) as file:
            line = _LINE.fullmatch(file.read(_LINE_BYTES))
        if line is None:
            raise ValueError("it has no checkpoint header")
        if line[1] != _VERSION:
            version = line[1].decode("ascii", "backslashreplace")
            raise CheckpointError(
                f"{path}: unknown format version {version}: install the version of charloom that wrote it"
            )
        # Read once: the bytes that the checksum covers are those that are parsed.
        body = read_tensor_file(path, _LINE_BYTES)
        if hashlib.sha256(body).hexdigest().encode() != line[2]:
            raise ValueError("its SHA-256 checksum does not match")
        metadata = parse_json(read_metadata(body)[_KEY].encode())
        if not isinstance(metadata, dict):
            raise TypeError("its metadata is not a JSON object")
        return metadata, safetensors.torch.load(body)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error!s:.200})") from None
