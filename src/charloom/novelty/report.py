"""Reports on copying: the stretches of a text that occur verbatim in a corpus, and their share of the text."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from charloom.errors import CorpusError, InputError
from charloom.io import markup
from charloom.novelty.longest_matches import longest_matches
from charloom.settings.limits import check_count
from charloom.text.chunks import AnyText, join_chunks, split_lines
from charloom.text.clean_up import CleanUp
from charloom_codec.arguments import TEXT, check_type

DEFAULT_MIN_LENGTH = 32
"""Minimum length of a copied stretch, in characters.

Less than 1 to 2% of a book, but most of a log, repeats itself in stretches of this length.
"""
MAX_TEXTS = 2_000_000
"""Maximum number of characters of all texts together; each takes 100 bytes of memory or more."""
_MAX_CHUNKS = 50
"""Maximum number of chunks of the baseline."""
_MAX_SHARE_OF_CHUNKS = 0.1
"""Maximum fraction of the corpus that is cut out for the baseline."""


@dataclass(frozen=True)
class CopiedStretch:
    """A stretch of a text that also occurs in the corpus.

    Attributes:
        text: Copied text, after normalization.
        sample: Index of the text that contains the stretch, from 0.
        start: Index of its first character in that text after normalization, from 0.
        source: Name of the part of the corpus with its first occurrence; empty if the corpus is a single text.
        line: Line number of this occurrence in that part before normalization, from 1.
        corpus_start: Index of its first character in the whole corpus after normalization, from 0.
    """

    text: str | bytes
    sample: int
    start: int
    source: str
    line: int
    corpus_start: int


@dataclass(frozen=True)
class Copied:
    """Amount of copied text in one or more texts.

    Attributes:
        num_chars: Number of characters (bytes, if the texts are bytes).
        num_copied: Number of characters in copied stretches of at least the minimum length.
        longest: Length of the longest copied stretch, which may be below the minimum length.
    """

    num_chars: int
    num_copied: int
    longest: int

    @property
    def share(self) -> float:
        """Copied characters as a fraction of all characters, 0 to 1."""
        return self.num_copied / self.num_chars if self.num_chars else 0.0


@dataclass(frozen=True)
class NoveltyReport:
    """Result of ``check_novelty``.

    Attributes:
        min_length: Minimum length of a stretch that counts as copied, in characters.
        samples: Amount of copied text in each text.
        stretches: Longest copied stretches, longest first, none overlapping or repeating another. The first is
            included even if it is shorter than ``min_length``.
        num_chunks: Number of chunks of the corpus that were searched for in the rest of it, each as long as the longest
            text; 0 if the corpus is too short.
        baseline: Baseline: amount of these chunks that is repeated in the rest of the corpus.
    """

    min_length: int
    samples: tuple[Copied, ...]
    stretches: tuple[CopiedStretch, ...]
    num_chunks: int
    baseline: Copied

    @property
    def share(self) -> float:
        """Copied characters as a fraction of all characters of the texts, 0 to 1."""
        return total(self.samples).share

    @property
    def longest(self) -> int:
        """Length of the longest copied stretch, in characters."""
        return total(self.samples).longest

    def _repr_html_(self) -> str:
        copied = total(self.samples)
        figures = markup.make_properties(
            [
                ("characters", copied.num_chars),
                (f"copied, in stretches of at least {self.min_length:,}", f"{copied.share:.1%}"),
                ("longest copied stretch", copied.longest),
                *([("baseline: copied", f"{self.baseline.share:.1%}")] if self.num_chunks else []),
                *([("baseline: longest", self.baseline.longest)] if self.num_chunks else []),
            ]
        )
        rows = [
            [len(one.text), _as_text(one.text), f"{one.source}:{one.line}" if one.source else f"line {one.line:,}"]
            for one in self.stretches
        ]
        return markup.join(figures, *([markup.make_table(["characters", "copied", "from"], rows)] if rows else []))


def check_novelty(
    texts: AnyText | Sequence[AnyText],
    corpus: AnyText | Sequence[tuple[str, AnyText]],
    *,
    clean_up: CleanUp | None = None,
    min_length: int = DEFAULT_MIN_LENGTH,
    num_stretches: int = 5,
) -> NoveltyReport:
    """Finds the stretches of texts that occur verbatim in a corpus.

    Any text shares some stretches with others, by chance or as set phrases. The report therefore includes a baseline:
    the same measure for chunks of the corpus itself, each as long as the longest text, cut out of the corpus (at most
    10% of it) and searched for in the rest.

    Args:
        texts: Text or texts to check, without the prefix that they were generated from.
        corpus: Text that they may be copied from, or its parts as (name, text) pairs.
        clean_up: Normalization of both before the search, that of the model's vocabulary. None for no normalization.
        min_length: Minimum length of a stretch that counts as copied, in characters (bytes, if the texts are bytes).
        num_stretches: Maximum number of stretches in the report.

    The time grows with the total length of texts and corpus: about two seconds for 5 million characters of corpus, and
    the same for 1 million characters of texts.

    Raises SettingsError for a ``min_length`` below 1, InputError if some of the texts and the corpus are str and others
    bytes, or for more than ``MAX_TEXTS`` characters of texts, and CorpusError for an empty corpus.
    """
    check_type((*TEXT, Sequence), texts=texts, corpus=corpus)
    for one in () if isinstance(texts, TEXT) else texts:
        check_type(TEXT, text=one)
    for part in () if isinstance(corpus, TEXT) else corpus:
        if not (isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str)):
            raise InputError("the parts of the corpus must be (name, text) pairs")
        check_type(TEXT, text=part[1])
    check_type((CleanUp, NoneType), clean_up=clean_up)
    check_count("min_length", min_length, minimum=1)
    check_count("num_stretches", num_stretches)
    normalize = clean_up or CleanUp()
    samples: list[str | bytes] = [texts] if isinstance(texts, TEXT) else list(texts)
    parts: list[tuple[str, str | bytes]] = [("", corpus)] if isinstance(corpus, TEXT) else list(corpus)
    if len({isinstance(text, bytes) for text in [*samples, *(text for _, text in parts)]}) > 1:
        raise InputError("texts and corpus must have the same type: all str or all bytes")
    samples = [normalize(sample) for sample in samples]
    if (num_chars := sum(map(len, samples))) > MAX_TEXTS:
        raise InputError(
            f"the texts have {num_chars:,} characters in total: at most {MAX_TEXTS:,} can be checked at once"
        )
    line_index = _LineIndex(parts, normalize)
    if not line_index.text:
        raise CorpusError("the corpus is empty: pass a corpus that contains text")
    found = longest_matches(samples, line_index.text, min_exact=min_length)
    # The chunks are cut out of the corpus before they are searched for in it: each would be found in itself.
    chunks, ranges = _chunks(line_index.text, max(map(len, samples), default=0))
    baseline = longest_matches(chunks, line_index.text, min_exact=min_length, excluded=ranges)
    return NoveltyReport(
        min_length,
        tuple(_copied(matches, min_length) for matches in found),
        tuple(_stretches(samples, found, line_index, min_length, num_stretches)),
        len(chunks),
        total([_copied(matches, min_length) for matches in baseline]),
    )


def total(parts: Sequence[Copied]) -> Copied:
    """Returns the sum of the amounts of several texts, and the longest of their copied stretches."""
    return Copied(
        sum(part.num_chars for part in parts),
        sum(part.num_copied for part in parts),
        max((part.longest for part in parts), default=0),
    )


def _copied(matches: Sequence[int], min_length: int) -> Copied:
    """Returns the amount of copied text, given the length of the longest match that ends at each character."""
    count = 0
    # Matches overlap: a character is counted once, in the first match of at least min_length that contains it.
    copied_to = 0
    for end, length in enumerate(matches, 1):
        if length >= min_length:
            count += end - max(copied_to, end - length)
            copied_to = end
    return Copied(len(matches), count, max(matches, default=0))


def _chunks(corpus: str | bytes, length: int) -> tuple[list[str | bytes], list[tuple[int, int]]]:
    """Returns chunks of ``length`` characters at equal distances in the corpus, and their (start, end) ranges."""
    count = min(_MAX_CHUNKS, int(_MAX_SHARE_OF_CHUNKS * len(corpus)) // length) if length else 0
    # Centered in equal intervals: chunks never overlap, as they are a tenth of the corpus at most.
    starts = [(2 * number + 1) * len(corpus) // (2 * count) - length // 2 for number in range(count)]
    ranges = [(start, start + length) for start in starts]
    return [corpus[start:end] for start, end in ranges], ranges


def _stretches(
    samples: Sequence[str | bytes],
    found: Sequence[Sequence[int]],
    line_index: "_LineIndex",
    min_length: int,
    max_stretches: int,
) -> list[CopiedStretch]:
    """Returns the longest maximal matches, at most ``max_stretches``; none overlaps or repeats a longer one."""
    # A match is maximal if the one that ends at the next character is not longer: it then starts later.
    maximal = [
        (length, number, end - length)
        for number, matches in enumerate(found)
        for end, (length, after) in enumerate(itertools.pairwise([*matches, 0]), 1)
        if length and after <= length
    ]
    chosen: list[CopiedStretch] = []
    for length, number, start in sorted(maximal, key=lambda each: (-each[0], each[1:])):
        # The first one is reported whatever its length.
        if len(chosen) == max_stretches or (chosen and length < min_length):
            break
        text: Any = samples[number][start : start + length]
        if not any(
            text in other.text
            or (other.sample == number and other.start < start + length and start < other.start + len(other.text))
            for other in chosen
        ):
            chosen.append(CopiedStretch(text, number, start, *line_index.locate(text)))
    return chosen


def _as_text(text: str | bytes) -> str:
    return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text


class _LineIndex:
    """A normalized text that maps its characters to the parts and lines that they come from."""

    def __init__(self, parts: Sequence[tuple[str, str | bytes]], normalize: CleanUp) -> None:
        # Normalized line by line, to know the start of each line in the normalized text.
        lines = [(name, number, line) for name, text in parts for number, line in enumerate(split_lines(text), 1)]
        normalized = list(normalize.each(line for *_, line in lines))
        self.text = join_chunks(normalized, "byte" if normalized and isinstance(normalized[0], bytes) else "char")
        self._lines = [(name, number) for name, number, _ in lines]
        self._starts = list(itertools.accumulate(map(len, normalized), initial=0))[:-1]

    def locate(self, stretch: str | bytes) -> tuple[str, int, int]:
        """Returns the part's name, the line number and the index in ``text`` of a stretch's first occurrence."""
        start = self.text.index(stretch)  # type: ignore[arg-type] # both are str or both bytes
        # Several lines may start at one index: all but the last are empty after normalization.
        return (*self._lines[bisect.bisect_right(self._starts, start) - 1], start)
