"""For every place of some texts, the longest stretch ending there that a corpus has too; exact, without a Python loop.

A hash of every n-gram finds the places of the corpus that share one with the texts; in prose that is next to nothing.
These and the texts go into one suffix array, built by prefix doubling (Manber and Myers, Suffix arrays: a new method
for on-line string searches, 1993). The stretch of the corpus that agrees longest with a place of the texts is that
place's nearest neighbor in the array.
"""

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Text: TypeAlias = str | bytes
Integers: TypeAlias = NDArray[np.integer]

_BLOCK = 1 << 22
"""Characters of the corpus that are searched together. More take more memory."""
_HASH_FACTOR = np.array([0x9E3779B97F4A7C15], np.uint64)
_FIRST_SEPARATOR = 0x110000
"""Above every code point."""


def longest_matches(
    samples: Sequence[Text], corpus: Text, *, enough: int, without: Sequence[tuple[int, int]] = ()
) -> list[list[int]]:
    """By sample and character, the length of the longest stretch ending with it that the corpus has.

    Exact where that is at least ``enough``, and for the longest stretch of all; others may be given as shorter.

    Args:
        samples: All str or all bytes.
        corpus: Likewise.
        enough: 1 or more.
        without: Ranges (start, end) of the corpus that are left out of it, in order; none is empty.
    """
    longest = max(map(len, samples), default=0)
    ends = np.cumsum([len(sample) + 1 for sample in samples]) - 1
    matches = np.zeros(ends[-1] + 1 if samples else 0, np.int64)
    length = 1 << max(0, min(enough, longest).bit_length() - 1)
    while length and longest and not matches.any():
        known = np.unique(np.concatenate([_hashes(sample, length) for sample in samples]))
        blocks = _blocks(corpus, without, longest)
        # A corpus says the same again and again.
        shared = list(dict.fromkeys(itertools.chain.from_iterable(_shared(block, known, length) for block in blocks)))
        groups = np.cumsum([len(stretch) for stretch in shared]) // _BLOCK
        for _, group in itertools.groupby(zip(groups, shared, strict=True), operator.itemgetter(0)):
            np.maximum(matches, _matches(samples, [stretch for _, stretch in group]), out=matches)
        length //= 2
    return [matches[end - len(sample) : end].tolist() for sample, end in zip(samples, ends, strict=True)]


def _blocks(corpus: Text, without: Sequence[tuple[int, int]], longest: int) -> Iterator[Text]:
    """The corpus in chunks that overlap: a stretch of ``longest`` characters at most is whole in one of them."""
    borders = [0, *(border for part in without for border in part), len(corpus)]
    step = max(_BLOCK, longest)
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        for at in range(start, end, step):
            yield corpus[at : min(at + step + longest - 1, end)]


def _codes(text: Text) -> Integers:
    """Code points or byte values."""
    if isinstance(text, bytes):
        return np.frombuffer(text, np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _hashes(text: Text, length: int) -> Integers:
    """A hash of each n-gram of a length that is a power of two, uint64. Two n-grams may have the same."""
    hashes, size, factor = _codes(text).astype(np.uint64), 1, _HASH_FACTOR
    while size < length:
        hashes, size, factor = hashes[:-size] * factor + hashes[size:], 2 * size, factor * factor
    return hashes


def _shared(block: Text, known: Integers, length: int) -> list[Text]:
    """The stretches of the block that have all its n-grams of this length whose hashes are known."""
    hashes = _hashes(block, length)
    if not len(known) or not len(hashes):
        return []
    places = np.flatnonzero(known[np.searchsorted(known, hashes).clip(max=len(known) - 1)] == hashes)
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [block[run[0] : run[-1] + length] for run in runs if len(run)]


def _matches(samples: Sequence[Text], stretches: Sequence[Text]) -> Integers:
    """For each character of the samples, a separator after each, the longest match that ends with it."""
    texts = [*samples, *stretches]
    # No two separators are the same: no match crosses one.
    codes = np.concatenate([np.append(_codes(text), _FIRST_SEPARATOR + i) for i, text in enumerate(texts)])
    num_ours = sum(len(sample) + 1 for sample in samples)
    levels = _ranks(codes, max(map(len, samples)))
    ranks = levels[-1]
    theirs = num_ours + np.argsort(ranks[num_ours:])
    after = np.searchsorted(ranks[theirs], ranks[:num_ours])
    starts = np.arange(num_ours)
    lengths = np.zeros(num_ours, np.int64)
    for neighbor in (after - 1, after):
        nearest = theirs[neighbor.clip(0, len(theirs) - 1)]
        np.maximum(lengths, _common(levels, starts, nearest), out=lengths)
    # Matches that start later end no earlier, so the longest to a place is the first that reaches it.
    firsts = np.searchsorted(starts + lengths, starts, side="right")
    longest: Integers = np.maximum(starts + 1 - firsts, 0)
    return longest


def _ranks(codes: Integers, longest: int) -> Sequence[Integers]:
    """At 2**level characters, the rank of each suffix by its first ones, up to more than ``longest`` of them."""
    levels = [np.unique(codes, return_inverse=True)[1].astype(np.int32)]
    while (step := 1 << (len(levels) - 1)) <= longest and (largest := int(levels[-1].max()) + 1) < len(codes):
        pairs = levels[-1].astype(np.int64) * largest
        pairs[:-step] += levels[-1][step:]
        levels.append(np.unique(pairs, return_inverse=True)[1].astype(np.int32))
    return levels


def _common(levels: Sequence[Integers], first: Integers, second: Integers) -> Integers:
    """How many of their first characters two different suffixes have in common, for each pair of them."""
    common = np.zeros(len(first), np.int64)
    for level, ranks in reversed(list(enumerate(levels))):
        common += (ranks[first + common] == ranks[second + common]).astype(np.int64) << level
    return common
