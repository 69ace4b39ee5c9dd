"""What is done to a text before its characters are counted."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import AnyStr


@dataclass(frozen=True)
class CleanUp:
    """The textbook's two clean-ups, each on its own switch. Calling it on a clean text changes nothing.

    Attributes:
        lowercase: Lower-case everything (in bytes: ASCII letters only).
        collapse_whitespace: Turn every run of white space, line ends included, into one space.
    """

    lowercase: bool = False
    collapse_whitespace: bool = False

    def __call__(self, text: AnyStr) -> AnyStr:
        """The cleaned text."""
        if self.lowercase:
            text = text.lower()
        if self.collapse_whitespace:
            text = re.sub(r"\s+", " ", text) if isinstance(text, str) else re.sub(rb"\s+", b" ", text)
        return text

    def each(self, lines: Iterable[AnyStr]) -> Iterator[AnyStr]:
        """Cleans a text line by line, so that the cleaned lines joined are the cleaned whole."""
        after_space = False
        for line in lines:
            cleaned = self(line)
            # A run of white space may cross the border between two lines.
            if self.collapse_whitespace and after_space and cleaned[:1].isspace():
                cleaned = cleaned[1:]
            if cleaned:
                after_space = cleaned[-1:].isspace()
            yield cleaned
