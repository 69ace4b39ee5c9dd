"""Reading a user's text: files, folders and standard input, decoded with errors that name the place."""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charloom.errors import CorpusError
from charloom.settings.corpus import Unit

STANDARD_INPUT = "-"
_LONGEST_NAME = 200
_BYTE_WAY_OUT = "unit='byte' takes any file"


def read_sources(sources: Sequence[str | Path], unit: Unit) -> str | bytes:
    """The text of several files, folders (every file below, in order of name) or ``-``, one after the other.

    Files of characters that do not end with a line end get one, so that two files never share a line. Raises
    CorpusError for what is missing, unreadable, empty or not UTF-8.
    """
    return join_parts(read_parts(sources, unit))


def read_parts(sources: Sequence[str | Path], unit: Unit) -> list[tuple[str, str | bytes]]:
    """As ``read_sources``, each file by itself, after its name."""
    files = [file for source in sources for file in _files_of(source)]
    texts: list[Any] = [_read_bytes(file) for file in files]
    if unit == "char":
        texts = [decode_utf8(data, _names([file])) for data, file in zip(texts, files, strict=True)]
        texts[:-1] = [text if not text or text.endswith("\n") else text + "\n" for text in texts[:-1]]
    if not any(texts):
        raise CorpusError(f"{_names(sources)}: empty; there is nothing to read")
    return [(_names([file]), text) for file, text in zip(files, texts, strict=True)]


def join_parts(parts: Sequence[tuple[str, str | bytes]]) -> str | bytes:
    """The text of all parts; there is one at least."""
    texts: list[Any] = [text for _, text in parts]
    joined: str | bytes = texts[0][:0].join(texts)
    return joined


def decode_utf8(data: bytes, name: str) -> str:
    """UTF-8 to text, a leading byte order mark left out. Raises CorpusError naming the place of what is not text."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            f"{name}: not UTF-8 at byte {error.start} (0x{data[error.start]:02x}, line {line}); {_BYTE_WAY_OUT}"
        ) from None
    if (place := text.find("\0")) >= 0:
        raise CorpusError(f"{name}: looks binary (a NUL character at {place}); {_BYTE_WAY_OUT}")
    return text.removeprefix("\ufeff")


def _files_of(source: str | Path) -> list[str | Path]:
    if source == STANDARD_INPUT:
        return [STANDARD_INPUT]
    if not str(source):
        raise CorpusError("the name of a text is empty")
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise CorpusError(f"{' '.join(str(path).split())[:_LONGEST_NAME]}: {_reason(error)}") from None
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CorpusError(f"{path}: a device, not a file; use - for standard input")
    if not stat.S_ISDIR(mode):
        return [path]
    found = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
    if not found:
        raise CorpusError(f"{path}: no files in this folder")
    return list(found)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read_bytes(file: str | Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else Path(file).read_bytes()
    except OSError as error:
        raise CorpusError(f"{file}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return str(error)


def _names(sources: Sequence[str | Path]) -> str:
    return ", ".join("standard input" if source == STANDARD_INPUT else str(source) for source in sources)
