"""Damage to a folder of models or checkpoints, by accident or by someone who knows the format."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

from damage import damaged

PRECIOUS = "precious"
"""Name of a file outside the folder, the target of links."""
_DEEP = 3000
_HOSTILE: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**9,
    2**63,
    10**30,
    float("nan"),
    float("inf"),
    1e308,
    "",
    "a",
    "../../../../etc/passwd",
    "/dev/zero",
    "\ud800",
    "x" * 10_000,
    [],
    {},
    [[]],
    [0] * 1000,
    {"a": 1},
    {"__class__": "os.system", "__reduce__": ["id"]},
]
"""Replacements of a JSON value. Some are valid only for Python's json (NaN), and must be refused."""


def damage_folder(folder: Path, other: Path, source: random.Random) -> str:
    """Damages a file of a folder in place, as ``source`` chooses, and returns a description.

    Args:
        folder: The folder to damage.
        other: A valid folder of another model, for files that are mixed up. Its sibling ``PRECIOUS`` must not change.
        source: Random-number generator that chooses the damage.
    """
    if source.random() < 0.06:
        return _lock(folder, other, source)
    names = ("config.json", "model.safetensors", "codec.safetensors", "priming.safetensors", "*.checkpoint")
    files = sorted(file for name in names for file in folder.rglob(name))
    file = source.choice(files)
    act = source.choice(
        [_bytes, _signed_bytes, _signed_bytes, _values, _values, _values, _header, _header, _mixed_up, _no_file]
    )
    act(file, other, source)
    return f"{act.__name__.strip('_')} of {file.name}"


def _lock(folder: Path, other: Path, source: random.Random) -> str:
    """Puts a special file in place of the lock."""
    file, kind = folder / ".lock", source.randrange(6)
    if kind == 0:
        file.symlink_to(other.parent / PRECIOUS)
    elif kind == 1:
        file.symlink_to(folder / "config.json")
    elif kind == 2:
        file.symlink_to("/dev/zero")
    elif kind == 3:
        os.mkfifo(file)
    elif kind == 4:
        file.mkdir()
    else:
        file.write_bytes(b"left by a process that was killed")
    return f"lock, {kind}"


def _bytes(file: Path, _: Path, source: random.Random) -> None:
    file.write_bytes(damaged(file.read_bytes(), source))


def _signed_bytes(file: Path, _: Path, source: random.Random) -> None:
    """Damages bytes and makes the checksum match, as only someone who knows the format does."""
    preamble, body = _parts(file)
    _write_signed(file, preamble, damaged(body, source))


def _values(file: Path, _: Path, source: random.Random) -> None:
    """Replaces a value of the JSON inside."""
    preamble, body = _parts(file)
    if file.suffix == ".json":
        file.write_bytes(_dumped(_with_other_value(json.loads(body), source), source))
        return
    header, data = _header_of(body)
    metadata = header.get("__metadata__", {})
    if "run" in metadata:
        metadata["run"] = _dumped(_with_other_value(json.loads(metadata["run"]), source), source).decode()
    else:
        header = _with_other_value(header, source)
    _write_signed(file, preamble, _with_header(_dumped(header, source), data))


def _header(file: Path, _: Path, source: random.Random) -> None:
    """Makes safetensors' description of its tensors wrong."""
    if file.suffix == ".json":
        file.write_bytes(b"[" * (_DEEP if source.random() < 0.5 else 10**6))
        return
    preamble, body = _parts(file)
    header, data = _header_of(body)
    names = [name for name in header if name != "__metadata__"]
    name = source.choice(names)
    entry = header[name]
    kind = source.randrange(9)
    if kind == 0:
        entry["dtype"] = source.choice(["F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "nonsense"])
    elif kind == 1:
        entry["shape"] = source.choice([[], [0], [-1], [2**40, 2**40], [1] * 100, entry["shape"][::-1], ["2"], None])
    elif kind == 2:
        entry["data_offsets"] = source.choice([[0, 4], [-4, 0], [2**63, 2**64], [4, 0], [0], [0, 2**40], "ab"])
    elif kind == 3:
        del header[name]
    elif kind == 4:
        header[source.choice(names)] = entry
    elif kind == 5:
        header[name + "x"] = header.pop(name)
    elif kind == 6:
        header["__metadata__"] = source.choice([None, {}, {"run": 5}, {"run": "["}, [], "run"])
    elif kind == 7:
        data = source.choice([b"", data[:-1], data + b"\0" * 1000, bytes(len(data)), b"\xff" * len(data)])
    text = _dumped(header, source)
    whole = _with_header(text, data)
    if kind == 8:
        length = source.choice([0, 2, 2**63, 2**64 - 1, len(text) + 10**6, len(text) - 1])
        whole = length.to_bytes(8, "little") + whole[8:]
    _write_signed(file, preamble, whole)


def _mixed_up(file: Path, other: Path, source: random.Random) -> None:
    """Replaces the content by that of another file, of this folder or of another model's."""
    here = [f for f in file.parent.iterdir() if f.is_file()]
    there = [f for f in other.rglob("*") if f.is_file()]
    shutil.copyfile(source.choice([f for f in [*here, *there] if f != file]), file.with_name("copy"))
    file.with_name("copy").replace(file)


def _no_file(file: Path, other: Path, source: random.Random) -> None:
    """Puts a special file in place, or a sparse one."""
    kind = source.randrange(8)
    if kind == 0:
        os.truncate(file, source.choice([2**33, 2**40]))
        return
    file.unlink()
    if kind == 1:
        file.mkdir()
    elif kind == 2:
        os.mkfifo(file)
    elif kind == 3:
        file.symlink_to(file.name)
    elif kind == 4:
        file.symlink_to("/dev/zero")
    elif kind == 5:
        file.symlink_to("/etc/passwd")
    elif kind == 6:
        file.symlink_to(other.parent / PRECIOUS)


def _with_other_value(table: Any, source: random.Random) -> Any:
    """Returns JSON with any one value replaced, removed or repeated under another name."""
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(min(len(node), 5)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                collect(node[key])

    collect(table)
    node, key = source.choice(places)
    kind = source.random()
    if kind < 0.1:
        del node[key]
    elif kind < 0.2 and isinstance(node, dict):
        node[f"{key}_"] = node[key]
    elif kind < 0.4 and isinstance(node[key], (int, float)):
        node[key] = source.choice([node[key] + 1, -node[key], node[key] * 1000, node[key] / 3, str(node[key])])
    else:
        node[key] = source.choice(_HOSTILE)
    return table


def _dumped(table: Any, source: random.Random) -> bytes:
    """Dumps as JSON, sometimes with a value that no valid writer writes."""
    text = json.dumps(table)
    if source.random() < 0.1:
        text = text.replace("1", source.choice(["9" * 400, "9" * 5000, "1e999", "-0", "[" * _DEEP, '{"a":' * _DEEP]), 1)
    return text.encode()


def _parts(file: Path) -> tuple[bytes, bytes]:
    """Returns the bytes before the safetensors data, and that data."""
    data = file.read_bytes()
    size = data.index(b"\n") + 1 if file.suffix == ".checkpoint" else 0
    return data[:size], data[size:]


def _header_of(body: bytes) -> tuple[Any, bytes]:
    end = 8 + int.from_bytes(body[:8], "little")
    return json.loads(body[8:end]), body[end:]


def _with_header(text: bytes, data: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + data


def _write_signed(file: Path, preamble: bytes, body: bytes) -> None:
    digest = hashlib.sha256(body).hexdigest()
    if preamble:
        preamble = preamble[:-65] + digest.encode() + b"\n"
    elif file.name == "model.safetensors":
        config = file.with_name("config.json")
        config.write_text(json.dumps(json.loads(config.read_text()) | {"weights_sha256": digest}))
    elif file.name in ("codec.safetensors", "priming.safetensors"):
        body = _without_fingerprints(body)
    file.write_bytes(preamble + body)


def _without_fingerprints(body: bytes) -> bytes:
    """Removes the fingerprints, as in older files, which are not checked."""
    try:
        header, data = _header_of(body)
        del header["__metadata__"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return body
    return _with_header(json.dumps(header).encode(), data)
