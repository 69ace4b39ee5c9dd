"""Settings for reading a text for training or evaluation."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charloom.settings.limits import check_bool, check_int, check_str

Unit: TypeAlias = Literal["char", "byte"]
"""Token unit: a Unicode character, or a byte of any file."""

UnknownPolicy: TypeAlias = Literal["refuse", "unk", "skip"]
"""Handling of out-of-vocabulary characters: raise an error, map them to ``<unk>``, or skip them."""

LineOrder: TypeAlias = Literal["bits", "bits-per-char", "bits-per-word", "rarity"]
"""Sort key of evaluated lines, highest first: bits, bits per character, mean bits of words without digits, rarity."""


@dataclass(frozen=True)
class CorpusSettings:
    """Settings of reading a text: the arguments of ``load_corpus``.

    Attributes:
        unit: Token unit: a character of UTF-8 text, or a byte of any file.
        max_chars: Maximum number of characters (or bytes) to use, from the start of the normalized text. Default:
            all.
        lowercase: Convert the text to lowercase. Default: for a named corpus, as in its source; for files, no.
        collapse_whitespace: Replace each run of whitespace, including line breaks, with one space. Default: for a
            named corpus, as in its source; for files, no.
    """

    unit: Unit = "char"
    max_chars: int | None = None
    # None differs from False: a named corpus then applies its own normalization.
    lowercase: bool | None = None
    collapse_whitespace: bool | None = None

    def __post_init__(self) -> None:
        check_str(self, unit=Unit)
        check_int(self, "max_chars", optional=True)
        check_bool(self, "lowercase", "collapse_whitespace", optional=True)
