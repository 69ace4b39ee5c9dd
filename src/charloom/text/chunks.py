"""Texts in chunks, str or bytes: splitting, joining and resizing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from charloom.settings.corpus import Unit
from charloom_codec.arguments import TEXT, check_type

AnyText = TypeVar("AnyText", bound=str | bytes)
"""Type of a text, str or bytes: a function returns the type that it is given."""

_CHUNK_CHARS = 1 << 20
"""Length of a chunk. Smaller chunks are joined, as each costs a few calls; larger ones are split to limit memory."""


def split_lines(text: AnyText) -> list[AnyText]:
    """Returns the lines of a text, each with its line feed; joined, they are the text."""
    check_type(TEXT, text=text)
    # Not splitlines: on a str, it also splits at characters other than line feeds.
    feed: Any = "\n" if isinstance(text, str) else b"\n"
    *lines, rest = text.split(feed)
    # After a final line feed the rest is empty, and no line.
    return [line + feed for line in lines] + ([rest] if rest else [])


def split_chars(text: AnyText) -> list[AnyText]:
    """Returns the characters of a str, or the single bytes of bytes."""
    check_type(TEXT, text=text)
    whole: Any = text
    # Slices, not items: an item of bytes is an int.
    return [whole[i : i + 1] for i in range(len(text))]


def join_chunks(chunks: Sequence[str | bytes], unit: Unit) -> str | bytes:
    """Joins chunks, all bytes if the unit is the byte and all str otherwise, into one text."""
    return b"".join(cast("Sequence[bytes]", chunks)) if unit == "byte" else "".join(cast("Sequence[str]", chunks))


def resize_chunks(chunks: Iterable[str | bytes], unit: Unit) -> Iterator[str | bytes]:
    """Yields the same text in chunks of bounded size, without many small ones."""
    waiting: list[str | bytes] = []
    length = 0
    for chunk in chunks:
        waiting.append(chunk)
        length += len(chunk)
        if length >= _CHUNK_CHARS:
            text = join_chunks(waiting, unit)
            yield from (text[at : at + _CHUNK_CHARS] for at in range(0, length, _CHUNK_CHARS))
            waiting, length = [], 0
    if waiting:
        yield join_chunks(waiting, unit)


def take_first(chunks: Iterable[str | bytes], count: int | None) -> Iterator[str | bytes]:
    """Yields the chunks of the first ``count`` characters, or all if None."""
    # Returns before the next chunk is requested: a pipe may deliver it late or never.
    for chunk in chunks:
        yield chunk[:count]
        if count is not None and (count := count - len(chunk)) <= 0:
            return
