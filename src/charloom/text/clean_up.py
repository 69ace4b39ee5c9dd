"""Normalization of a text (lowercase, whitespace) before its characters are counted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from charloom.settings.limits import check_bool
from charloom.text.chunks import AnyText

# The characters that the pattern \s matches, except the space; none is beyond U+3000.
_WHITESPACE = [character for character in map(chr, range(0x3001)) if character.isspace() and character != " "]
_WHITESPACE_BYTES = (b"\t", b"\n", b"\x0b", b"\x0c", b"\r")


@dataclass(frozen=True)
class CleanUp:
    """The two steps of normalization of Dive into Deep Learning, each optional.

    Normalizing a normalized text again does not change it.

    Attributes:
        lowercase: True to convert the text to lowercase (in bytes, ASCII letters only).
        collapse_whitespace: True to replace each run of whitespace, line ends included, with one space.
    """

    lowercase: bool = False
    collapse_whitespace: bool = False

    def __post_init__(self) -> None:
        check_bool(self, "lowercase", "collapse_whitespace")

    def __call__(self, text: AnyText) -> AnyText:
        """Returns the normalized text."""
        normalized: Any = text
        if self.lowercase:
            if isinstance(normalized, str):
                # The only letter whose lowercase form depends on its neighbors, which may be in another chunk.
                normalized = normalized.replace("Σ", "σ")  # noqa: RUF001
            normalized = normalized.lower()
        if self.collapse_whitespace:
            # Several times as fast as re.sub, which replaces the runs one by one.
            one, two = (" ", "  ") if isinstance(normalized, str) else (b" ", b"  ")
            for other in _WHITESPACE if isinstance(normalized, str) else _WHITESPACE_BYTES:
                normalized = normalized.replace(other, one)
            # Each pass halves the runs, so long ones take few passes.
            while two in normalized:
                normalized = normalized.replace(two, one)
        return cast("AnyText", normalized)

    def each(self, lines: Iterable[AnyText]) -> Iterator[AnyText]:
        """Yields the normalized lines (or chunks) of a text; joined, they equal the normalized text."""
        after_space = False
        for line in lines:
            normalized: Any = self(line)
            # A run of whitespace may continue from the line before.
            if self.collapse_whitespace and after_space and normalized[:1].isspace():
                # One character is enough: within a normalized line, no run is longer.
                normalized = normalized[1:]
            # An empty line does not end a run of whitespace.
            if normalized:
                after_space = normalized[-1:].isspace()
            yield normalized
