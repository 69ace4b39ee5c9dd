"""The file of a checkpoint: a line with a checksum, then safetensors with JSON in their metadata. No pickle.

The line is ``charloom checkpoint 1 HASH``, HASH being the SHA-256, in hexadecimal, of all that follows it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from charloom.errors import CheckpointError
from charloom.model_folder import open_regular, parse_json, read_tensor_file
from charloom.whole_files import WholeFile

_NAME, _VERSION = b"charloom checkpoint", b"1"
_LINE_BYTES = len(b" ".join([_NAME, _VERSION, b"0" * 64])) + 1
_KEY = "run"


def write_checkpoint(path: Path, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Writes the file, whole or not at all. Raises OSError where that fails.

    facts: JSON values.
    """
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    body = safetensors.torch.save(on_cpu, {_KEY: json.dumps(facts, allow_nan=False)})
    line = b" ".join([_NAME, _VERSION, hashlib.sha256(body).hexdigest().encode()]) + b"\n"
    with WholeFile(path, overwrite=True) as file:
        file.write(line)
        file.write(body)


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the tensors. Raises CheckpointError, naming file and reason, for anything else."""
    try:
        _check_line(path)
        data = read_tensor_file(path, _LINE_BYTES)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else error
        raise CheckpointError(f"{path}: cannot be read ({reason})") from None
    line, body = data[:_LINE_BYTES], data[_LINE_BYTES:]
    if hashlib.sha256(body).hexdigest().encode() != line.split()[-1]:
        raise CheckpointError(f"{path}: damaged (its SHA-256 differs)")
    try:
        header = parse_json(body[8 : 8 + int.from_bytes(body[:8], "little")])
        facts = parse_json(header["__metadata__"][_KEY].encode())
        if not isinstance(facts, dict):
            raise TypeError("no JSON object")
        return facts, safetensors.torch.load(body)
    except (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged ({error!r:.200})") from None


def _check_line(path: Path) -> None:
    with open_regular(path) as file:
        line = file.read(_LINE_BYTES)
    name, _, rest = line.rstrip(b"\n").rpartition(b" ")[0].rpartition(b" ")
    if name != _NAME or not line.endswith(b"\n"):
        raise ValueError("damaged: it does not begin as a checkpoint does")
    if rest != _VERSION:
        raise ValueError(f"version {rest.decode('ascii', 'replace')}: install the charloom that wrote it")
