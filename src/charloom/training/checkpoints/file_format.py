"""The file of a checkpoint: a line with a checksum, then safetensors with JSON in their metadata. No pickle.

The line is ``charloom checkpoint 1 HASH``, HASH being the SHA-256, in hexadecimal, of all that follows it.
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
from charloom.io.atomic import atomic_file
from charloom.io.tensor_files import metadata_of, open_regular, parse_json, read_tensor_file

Facts: TypeAlias = dict[str, Any]
"""JSON values."""
_NAME, _VERSION = b"charloom checkpoint", b"1"
_LINE = re.compile(rb"charloom checkpoint (\S+) ([0-9a-f]{64})\n")
_LINE_BYTES = len(b" ".join([_NAME, _VERSION, b"0" * 64])) + 1
_KEY = "run"
_KINDS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.uint8: "U8",
}


def write_checkpoint(path: Path, facts: Facts, tensors: dict[str, Tensor]) -> None:
    """Writes the file, whole or not at all. Raises OSError if that fails."""
    chunks = _safetensors(tensors, {_KEY: json.dumps(facts, allow_nan=False)})
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    with atomic_file(path, overwrite=True) as file:
        file.write(b" ".join([_NAME, _VERSION, digest.hexdigest().encode()]) + b"\n")
        for chunk in chunks:
            file.write(chunk)


def _safetensors(tensors: dict[str, Tensor], metadata: dict[str, str]) -> list[bytes | memoryview]:
    """As ``safetensors.torch.save`` writes it, which copies all twice; in chunks that are the tensors' own memory."""
    in_order = sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0]))  # so that each is aligned
    header: Facts = {"__metadata__": metadata}
    chunks = []
    end = 0
    for name, tensor in in_order:
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
        chunks.append(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *chunks]


def read_checkpoint(path: Path) -> tuple[Facts, dict[str, Tensor]]:
    """The facts and the tensors. Raises CheckpointError, naming file and reason, for anything else."""
    try:
        with open_regular(path) as file:
            line = _LINE.fullmatch(file.read(_LINE_BYTES))
        if line is None:
            raise ValueError("it does not begin as a checkpoint does")
        if line[1] != _VERSION:
            raise CheckpointError(f"{path}: version {line[1]!r} of the format: install the charloom that wrote it")
        body = read_tensor_file(path, _LINE_BYTES)
        if hashlib.sha256(body).hexdigest().encode() != line[2]:
            raise ValueError("its SHA-256 differs")
        facts = parse_json(metadata_of(body)[_KEY].encode())
        if not isinstance(facts, dict):
            raise TypeError("no JSON object")
        return facts, safetensors.torch.load(body)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error!s:.200})") from None
