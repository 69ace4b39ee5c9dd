"""How a text is read, to train on it or to evaluate it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.settings.limits import check_switch, check_whole, check_word

Unit: TypeAlias = Literal["char", "byte"]
"""What one token is: a Unicode character, or a byte of any file."""

UnknownPolicy: TypeAlias = Literal["refuse", "unk", "skip"]
"""What to do with characters that the vocabulary lacks: raise, map them to ``<unk>``, or leave them out."""

LineOrder: TypeAlias = Literal["bits", "bits-per-char"]
"""What evaluated lines are sorted by, the most surprising first: their bits, or their bits per character."""


@dataclass(frozen=True)
class CorpusSettings:
    """How a text is read; the arguments of ``load_corpus``.

    Attributes:
        unit: What one token is: a character of a UTF-8 text, or a byte of any file.
        max_chars: Keep the first so many characters (or bytes) of the clean text; all of it where none.
        lowercase: Lower-case the text. Where not given: as the named corpus' source does; no for files.
        collapse_whitespace: Turn every run of white space, line ends included, into one space. Where not given:
            likewise.
    """

    unit: Unit = "char"
    max_chars: int | None = None
    lowercase: bool | None = None
    collapse_whitespace: bool | None = None

    def __post_init__(self) -> None:
        check_word(self, unit=Unit)
        check_whole(self, "max_chars", optional=True)
        check_switch(self, "lowercase", "collapse_whitespace", optional=True)
