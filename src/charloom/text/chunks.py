"""A text in chunks, str or bytes: split, put together, in chunks of another size."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from charloom.arguments import TEXT, check_type
from charloom.settings.corpus import Unit

AnyText = TypeVar("AnyText", bound=str | bytes)
"""str or bytes: what goes in comes out."""

_CHARS_AT_ONCE = 1 << 20
"""Smaller chunks are put together, as each costs a few calls; larger ones are cut, as each takes much memory."""


def split_lines(text: AnyText) -> list[AnyText]:
    """The lines of a text, each with its line feed; joined they are the text."""
    check_type(TEXT, text=text)
    # Not splitlines: of a str, that takes more than line feeds for ends.
    feed: Any = "\n" if isinstance(text, str) else b"\n"
    *lines, rest = text.split(feed)
    return [line + feed for line in lines] + ([rest] if rest else [])


def split_chars(text: AnyText) -> list[AnyText]:
    """The characters, or single bytes, of a text."""
    check_type(TEXT, text=text)
    whole: Any = text
    return [whole[i : i + 1] for i in range(len(text))]


def joined(chunks: Sequence[str | bytes], unit: Unit) -> str | bytes:
    """One text of chunks that are all of the unit's kind."""
    return b"".join(cast("Sequence[bytes]", chunks)) if unit == "byte" else "".join(cast("Sequence[str]", chunks))


def resized(chunks: Iterable[str | bytes], unit: Unit) -> Iterator[str | bytes]:
    """The same text in chunks that are neither small nor very large."""
    waiting: list[str | bytes] = []
    length = 0
    for chunk in chunks:
        waiting.append(chunk)
        length += len(chunk)
        if length >= _CHARS_AT_ONCE:
            text = joined(waiting, unit)
            yield from (text[at : at + _CHARS_AT_ONCE] for at in range(0, length, _CHARS_AT_ONCE))
            waiting, length = [], 0
    if waiting:
        yield joined(waiting, unit)


def beginning(chunks: Iterable[str | bytes], count: int | None) -> Iterator[str | bytes]:
    """The chunks of the first ``count`` characters, all if None; no more are asked for."""
    for chunk in chunks:
        yield chunk[:count]
        if count is not None and (count := count - len(chunk)) <= 0:
            return
