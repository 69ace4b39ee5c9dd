"""What is done to a text before its characters are counted."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

AnyText = TypeVar("AnyText", bound=str | bytes)
"""str or bytes: what goes in comes out."""


@dataclass(frozen=True)
class CleanUp:
    """The textbook's two clean-ups, each on its own switch. Calling it on a clean text changes nothing.

    Attributes:
        lowercase: Lower-case everything (in bytes: ASCII letters only).
        collapse_whitespace: Turn every run of white space, line ends included, into one space.
    """

    lowercase: bool = False
    collapse_whitespace: bool = False

    def __call__(self, text: AnyText) -> AnyText:
        """The cleaned text."""
        clean: Any = text
        if self.lowercase:
            if isinstance(clean, str):
                # The one letter whose lower case depends on its neighbours; here a text may come in pieces.
                clean = clean.replace("Σ", "σ")  # noqa: RUF001
            clean = clean.lower()
        if self.collapse_whitespace:
            clean = re.sub(r"\s+", " ", clean) if isinstance(clean, str) else re.sub(rb"\s+", b" ", clean)
        result: AnyText = clean
        return result

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
