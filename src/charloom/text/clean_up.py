"""Clean-up of a text before its characters are counted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from charloom.settings.limits import check_bool
from charloom.text.chunks import AnyText

# What a pattern's \s matches, but for the space itself; none is beyond U+3000.
_WHITE_SPACE = [character for character in map(chr, range(0x3001)) if character.isspace() and character != " "]
_WHITE_SPACE_BYTES = (b"\t", b"\n", b"\x0b", b"\x0c", b"\r")


@dataclass(frozen=True)
class CleanUp:
    """The textbook's two clean-ups, each on its own switch. Calling it on a clean text changes nothing.

    Attributes:
        lowercase: Lower-case everything (in bytes: ASCII letters only).
        collapse_whitespace: Turn every run of white space, line ends included, into one space.
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
                # The one letter whose lower case depends on its neighbours; here a text may come in chunks.
                clean = clean.replace("Σ", "σ")  # noqa: RUF001
            clean = clean.lower()
        if self.collapse_whitespace:
            # Several times as fast as one replacement of a pattern for every run.
            one, two = (" ", "  ") if isinstance(clean, str) else (b" ", b"  ")
            for other in _WHITE_SPACE if isinstance(clean, str) else _WHITE_SPACE_BYTES:
                clean = clean.replace(other, one)
            while two in clean:
                clean = clean.replace(two, one)
        return cast("AnyText", clean)

    def each(self, lines: Iterable[AnyText]) -> Iterator[AnyText]:
        """Cleans a text line by line, so that the cleaned lines joined are the cleaned whole."""
        after_space = False
        for line in lines:
            cleaned: Any = self(line)
            # A run of white space may cross the border between two lines.
            if self.collapse_whitespace and after_space and cleaned[:1].isspace():
                cleaned = cleaned[1:]
            if cleaned:
                after_space = cleaned[-1:].isspace()
            yield cleaned
