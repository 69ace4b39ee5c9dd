"""What of a text is copied: its longest stretches that stand letter by letter in a corpus, and its share in them."""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from charloom.arguments import TEXT, check_type
from charloom.errors import CorpusError, InputError
from charloom.novelty.longest_matches import longest_matches
from charloom.settings.limits import check_count
from charloom.text.chunks import AnyText, joined, split_lines
from charloom.text.clean_up import CleanUp

DEFAULT_MIN_LENGTH = 32
"""Characters. Less than 1 or 2 % of a book stands in it a second time in stretches as long, but most of a log."""
MAX_TEXTS = 2_000_000
"""Characters of all texts together; each takes 100 bytes of memory or more."""
_MAX_CHUNKS = 50
_MAX_SHARE_OF_CHUNKS = 0.1


@dataclass(frozen=True)
class CopiedStretch:
    """A stretch of a text that the corpus has too.

    Attributes:
        text: What was copied, cleaned as the corpus is.
        sample: Which of the texts it stands in, from 0.
        start: Its first character in that text, from 0.
        source: The name of the part of the corpus where it stands first; empty where parts have no names.
        line: The line, from 1, of that part as it was before the clean-up.
        corpus_start: Its first character in the whole corpus, cleaned, from 0.
    """

    text: str | bytes
    sample: int
    start: int
    source: str
    line: int
    corpus_start: int


@dataclass(frozen=True)
class Copied:
    """How much of some texts is copied.

    Attributes:
        num_chars: All their characters (bytes, for bytes).
        num_copied: Those that lie in copied stretches of the least length that counts, or longer.
        longest: The longest copied stretch, however short.
    """

    num_chars: int
    num_copied: int
    longest: int

    @property
    def share(self) -> float:
        """Copied characters of all, 0 to 1."""
        return self.num_copied / self.num_chars if self.num_chars else 0.0


@dataclass(frozen=True)
class NoveltyReport:
    """What of some texts is copied from a corpus.

    Attributes:
        min_length: From how many characters on a stretch counts as copied.
        samples: Each text by itself.
        stretches: The longest stretches, longest first, none overlapping or repeating another; the first is there
            however short it is, the others where they count.
        num_chunks: How many chunks of the corpus itself were looked for in the rest of it, each as long as a text;
            0 where the corpus is too short for that.
        ordinary: What was found of them: how much is copied where nobody copies.
    """

    min_length: int
    samples: tuple[Copied, ...]
    stretches: tuple[CopiedStretch, ...]
    num_chunks: int
    ordinary: Copied

    @property
    def share(self) -> float:
        """Copied characters of all that the texts have, 0 to 1."""
        return total(self.samples).share

    @property
    def longest(self) -> int:
        """Characters of the longest copied stretch."""
        return total(self.samples).longest


def check_novelty(
    texts: AnyText | Sequence[AnyText],
    corpus: AnyText | Sequence[tuple[str, AnyText]],
    *,
    clean_up: CleanUp | None = None,
    min_length: int = DEFAULT_MIN_LENGTH,
    num_stretches: int = 5,
) -> NoveltyReport:
    """Looks for the texts in a corpus, letter by letter.

    A little of any text stands elsewhere by chance and by custom. So the report says, too, what the same measure makes
    of the corpus' own: chunks as long as the texts, cut out of it (a tenth of it at most) and looked for in the rest.

    Args:
        texts: One or several, without the prefix that they were asked to go on from.
        corpus: What they may be copied from: a text, or the parts that it is joined from, each with its name.
        clean_up: How both are cleaned first: that of the model's vocabulary. None for not at all.
        min_length: From how many characters (bytes, for bytes) on a stretch counts as copied.
        num_stretches: How many stretches to tell of.

    Time grows with the lengths of texts and corpus together: about two seconds for 5 million characters of corpus, and
    as much for a million of texts.

    Raises SettingsError for a min_length below 1, InputError where texts are str and the corpus bytes or the other way,
    or for more than ``MAX_TEXTS``; CorpusError for an empty corpus.
    """
    check_type((*TEXT, Sequence), texts=texts, corpus=corpus)
    for one in () if isinstance(texts, TEXT) else texts:
        check_type(TEXT, text=one)
    for part in () if isinstance(corpus, TEXT) else corpus:
        if not (isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str)):
            raise InputError("the corpus' parts must be pairs of a name and a text")
        check_type(TEXT, text=part[1])
    check_type((CleanUp, NoneType), clean_up=clean_up)
    check_count("min_length", min_length, minimum=1)
    check_count("num_stretches", num_stretches)
    clean = clean_up or CleanUp()
    samples: list[str | bytes] = [texts] if isinstance(texts, TEXT) else list(texts)
    parts: list[tuple[str, str | bytes]] = [("", corpus)] if isinstance(corpus, TEXT) else list(corpus)
    if len({isinstance(text, bytes) for text in [*samples, *(text for _, text in parts)]}) > 1:
        raise InputError("texts and corpus must be of one kind: all str, or all bytes")
    samples = [clean(sample) for sample in samples]
    if (num_chars := sum(map(len, samples))) > MAX_TEXTS:
        raise InputError(f"{num_chars:,} characters to look for: at most {MAX_TEXTS:,} can be looked for at once")
    places = _Places(parts, clean)
    if not places.text:
        raise CorpusError("the corpus is empty: there is nothing to copy from")
    found = longest_matches(samples, places.text, enough=min_length)
    chunks, ranges = _chunks(places.text, max(map(len, samples), default=0))
    ordinary = longest_matches(chunks, places.text, enough=min_length, without=ranges)
    return NoveltyReport(
        min_length,
        tuple(_copied(matches, min_length) for matches in found),
        tuple(_stretches(samples, found, places, min_length, num_stretches)),
        len(chunks),
        total([_copied(matches, min_length) for matches in ordinary]),
    )


def total(parts: Sequence[Copied]) -> Copied:
    """Several together."""
    return Copied(
        sum(part.num_chars for part in parts),
        sum(part.num_copied for part in parts),
        max((part.longest for part in parts), default=0),
    )


def _copied(matches: Sequence[int], min_length: int) -> Copied:
    """matches: By character of a text, the longest match that ends there."""
    count = 0
    copied_to = 0
    for end, length in enumerate(matches, 1):
        if length >= min_length:
            count += end - max(copied_to, end - length)
            copied_to = end
    return Copied(len(matches), count, max(matches, default=0))


def _chunks(corpus: str | bytes, length: int) -> tuple[list[str | bytes], list[tuple[int, int]]]:
    """Chunks of that length, at even distances in the corpus, and where they were."""
    count = min(_MAX_CHUNKS, int(_MAX_SHARE_OF_CHUNKS * len(corpus)) // length) if length else 0
    starts = [(2 * number + 1) * len(corpus) // (2 * count) - length // 2 for number in range(count)]
    ranges = [(start, start + length) for start in starts]
    return [corpus[start:end] for start, end in ranges], ranges


def _stretches(
    samples: Sequence[str | bytes], found: Sequence[Sequence[int]], places: "_Places", min_length: int, most: int
) -> list[CopiedStretch]:
    """The longest that cannot be made longer; none that overlaps a longer one, or says nothing that it does not say."""
    maximal = [
        (length, number, end - length)
        for number, matches in enumerate(found)
        for end, (length, after) in enumerate(itertools.pairwise([*matches, 0]), 1)
        if length and after <= length
    ]
    chosen: list[CopiedStretch] = []
    for length, number, start in sorted(maximal, key=lambda each: (-each[0], each[1:])):
        if len(chosen) == most or (chosen and length < min_length):
            break
        text: Any = samples[number][start : start + length]
        if not any(
            text in other.text
            or (other.sample == number and other.start < start + length and start < other.start + len(other.text))
            for other in chosen
        ):
            chosen.append(CopiedStretch(text, number, start, *places.of(text)))
    return chosen


class _Places:
    """A clean text that remembers what it was made from."""

    def __init__(self, parts: Sequence[tuple[str, str | bytes]], clean: CleanUp) -> None:
        lines = [(name, number, line) for name, text in parts for number, line in enumerate(split_lines(text), 1)]
        cleaned = list(clean.each(line for *_, line in lines))
        self.text = joined(cleaned, "byte" if cleaned and isinstance(cleaned[0], bytes) else "char")
        self._lines = [(name, number) for name, number, _ in lines]
        self._starts = list(itertools.accumulate(map(len, cleaned), initial=0))[:-1]

    def of(self, stretch: str | bytes) -> tuple[str, int, int]:
        """Name of the part, line in it and place in all of a stretch that is there: where it stands first."""
        start = self.text.index(stretch)  # type: ignore[arg-type] # both are str or both bytes
        # The last line that begins there: those before it are nothing once they are cleaned.
        return (*self._lines[bisect.bisect_right(self._starts, start) - 1], start)
