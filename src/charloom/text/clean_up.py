"""Clean-up of a text before its characters are counted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from charloom.settings.limits import check_bool
from charloom.text.chunks import AnyText

# The characters that the pattern \s matches, except the space; none is beyond U+3000.
_WHITE_SPACE = [character for character in map(chr, range(0x3001)) if character.isspace() and character != " "]
_WHITE_SPACE_BYTES = (b"\t", b"\n", b"\x0b", b"\x0c", b"\r")


@dataclass(frozen=True)
class CleanUp:
    """The textbook's two clean-up steps, each optional. Cleaning a clean text again does not change it.

    Attributes:
        lowercase: True to convert the text to lower case (in bytes, ASCII letters only).
        collapse_whitespace: True to replace each run of white space, line ends included, by one space.
    """

    lowercase: bool = False
    collapse_whitespace: bool = False

    def __post_init__(self) -> None:
        check_bool(self, "lowercase", "collapse_whitespace")

    def __call__(self, text: AnyText) -> AnyText:
        """Returns the cleaned text."""
        clean: Any = text
        if self.lowercase:
            if isinstance(clean, str):
                # The only letter whose lower case depends on its neighbors, which may be in another chunk.
                clean = clean.replace("Σ", "σ")  # noqa: RUF001
            clean = clean.lower()
        if self.collapse_whitespace:
            # Several times as fast as re.sub, which replaces the runs one by one.
            one, two = (" ", "  ") if isinstance(clean, str) else (b" ", b"  ")
            for other in _WHITE_SPACE if isinstance(clean, str) else _WHITE_SPACE_BYTES:
                clean = clean.replace(other, one)
            # Each pass halves the runs, so long ones take few passes.
            while two in clean:
                clean = clean.replace(two, one)
        return cast("AnyText", clean)

    def each(self, lines: Iterable[AnyText]) -> Iterator[AnyText]:
        """Yields the cleaned lines (or chunks) of a text; joined, they equal the cleaned text."""
        after_space = False
        for line in lines:
            cleaned: Any = self(line)
            # A run of white space may continue from the line before.
            if self.collapse_whitespace and after_space and cleaned[:1].isspace():
                # One character is enough: within a cleaned line, no run is longer.
                cleaned = cleaned[1:]
            # An empty line does not end a run of white space.
            if cleaned:
                after_space = cleaned[-1:].isspace()
            yield cleaned
