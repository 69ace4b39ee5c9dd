"""Longest matches between texts and a corpus, one for each character of the texts, computed exactly with NumPy.

A hash of each n-gram selects the stretches of the corpus that share an n-gram with the texts; in prose these are few.
The selected stretches and the texts are sorted in one suffix array, built by prefix doubling (Manber and Myers, Suffix
arrays: a new method for on-line string searches, 1993). The corpus suffix with the longest prefix in common with a
suffix of the texts is one of its two nearest neighbors in the array.
"""

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from charloom.text.stored_ids import Integers
from charloom.text.vocabulary import get_code_points

Text: TypeAlias = str | bytes

_BLOCK = 1 << 22
"""Number of characters of the corpus that are searched together; memory grows with it."""
# 2**64 divided by the golden ratio, odd. An array, because NumPy warns when a scalar overflows.
_HASH_FACTOR = np.array([0x9E3779B97F4A7C15], np.uint64)
_FIRST_SEPARATOR = 0x110000
"""First code of a separator, above every code point."""


def longest_matches(
    samples: Sequence[Text], corpus: Text, *, min_exact: int, excluded: Sequence[tuple[int, int]] = ()
) -> list[list[int]]:
    """Returns, for each character of each sample, the length of the longest match that ends with it.

    A match is a stretch that also occurs in the corpus. Lengths of at least ``min_exact``, and the longest of all, are
    exact; other lengths may be too small.

    Args:
        samples: Texts to search for, all str or all bytes.
        corpus: Text to search in, of the same type as the samples.
        min_exact: Length from which the results are exact, 1 or more.
        excluded: Ranges (start, end) of the corpus to ignore, in order, none empty.
    """
    longest = max(map(len, samples), default=0)
    ends = np.cumsum([len(sample) + 1 for sample in samples]) - 1
    matches = np.zeros(ends[-1] + 1 if samples else 0, np.int64)
    # The longest power of two, for _hashes, such that every match of min(min_exact, longest) contains an n-gram of it.
    length = 1 << max(0, min(min_exact, longest).bit_length() - 1)
    # Shorter n-grams select far more of the corpus: they are tried only if there is no match at all.
    while length and longest and not matches.any():
        known = np.unique(np.concatenate([_hashes(sample, length) for sample in samples]))
        blocks = _blocks(corpus, excluded, longest)
        # Without duplicates: a corpus repeats its phrases many times.
        shared = list(dict.fromkeys(itertools.chain.from_iterable(_shared(block, known, length) for block in blocks)))
        # In groups, because a suffix array takes many times the memory of its text.
        groups = np.cumsum([len(stretch) for stretch in shared]) // _BLOCK
        for _, group in itertools.groupby(zip(groups, shared, strict=True), operator.itemgetter(0)):
            np.maximum(matches, _matches(samples, [stretch for _, stretch in group]), out=matches)
        length //= 2
    return [matches[end - len(sample) : end].tolist() for sample, end in zip(samples, ends, strict=True)]


def _blocks(corpus: Text, excluded: Sequence[tuple[int, int]], longest: int) -> Iterator[Text]:
    """Yields overlapping chunks of the corpus; each stretch of up to ``longest`` characters is contained in one."""
    borders = [0, *(border for part in excluded for border in part), len(corpus)]
    step = max(_BLOCK, longest)
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        for at in range(start, end, step):
            yield corpus[at : min(at + step + longest - 1, end)]


def _codes(text: Text) -> Integers:
    return np.frombuffer(text, np.uint8) if isinstance(text, bytes) else get_code_points(text)


def _hashes(text: Text, length: int) -> Integers:
    """Returns a uint64 hash of each n-gram of ``length`` characters, a power of two."""
    # Collisions are harmless: they select stretches of the corpus in vain, which _matches then compares exactly.
    hashes, size, factor = _codes(text).astype(np.uint64), 1, _HASH_FACTOR
    while size < length:
        hashes, size, factor = hashes[:-size] * factor + hashes[size:], 2 * size, factor * factor
    return hashes


def _shared(block: Text, known: Integers, length: int) -> list[Text]:
    """Returns the stretches of the block that consist of n-grams of ``length`` characters with known hashes."""
    hashes = _hashes(block, length)
    if not len(known) or not len(hashes):
        return []
    # searchsorted returns the length for a hash above all others, hence clip.
    places = np.flatnonzero(known[np.searchsorted(known, hashes).clip(max=len(known) - 1)] == hashes)
    # N-grams that start at consecutive characters form one stretch.
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [block[run[0] : run[-1] + length] for run in runs if len(run)]


def _matches(samples: Sequence[Text], stretches: Sequence[Text]) -> Integers:
    """Returns the length of the longest match that ends with each character of the joined samples.

    A separator follows each sample; its length is in the result too.
    """
    texts = [*samples, *stretches]
    # All separators differ, so that no match contains one.
    codes = np.concatenate([np.append(_codes(text), _FIRST_SEPARATOR + i) for i, text in enumerate(texts)])
    num_ours = sum(len(sample) + 1 for sample in samples)
    levels = _ranks(codes, max(map(len, samples)))
    ranks = levels[-1]
    theirs = num_ours + np.argsort(ranks[num_ours:])
    after = np.searchsorted(ranks[theirs], ranks[:num_ours])
    starts = np.arange(num_ours)
    lengths = np.zeros(num_ours, np.int64)
    for neighbor in (after - 1, after):
        # At either end a suffix has one neighbor, which is then compared twice.
        nearest = theirs[neighbor.clip(0, len(theirs) - 1)]
        np.maximum(lengths, _common(levels, starts, nearest), out=lengths)
    # Matches that start later do not end earlier, so the longest match that ends here is the first to reach this index.
    firsts = np.searchsorted(starts + lengths, starts, side="right")
    longest: Integers = np.maximum(starts + 1 - firsts, 0)
    return longest


def _ranks(codes: Integers, longest: int) -> Sequence[Integers]:
    """Returns, for each level, the rank of every suffix by its first 2**level characters.

    The last level compares more than ``longest`` characters, or ranks all suffixes differently.
    """
    levels = [np.unique(codes, return_inverse=True)[1].astype(np.int32)]
    while (step := 1 << (len(levels) - 1)) <= longest and (largest := int(levels[-1].max()) + 1) < len(codes):
        # A product of two ranks may exceed int32.
        pairs = levels[-1].astype(np.int64) * largest
        pairs[:-step] += levels[-1][step:]
        levels.append(np.unique(pairs, return_inverse=True)[1].astype(np.int32))
    return levels


def _common(levels: Sequence[Integers], first: Integers, second: Integers) -> Integers:
    """Returns the length of the common prefix of each pair of different suffixes."""
    common = np.zeros(len(first), np.int64)
    # Binary search for the length, from its highest bit: equal ranks at a level are 2**level equal characters.
    for level, ranks in reversed(list(enumerate(levels))):
        common += (ranks[first + common] == ranks[second + common]).astype(np.int64) << level
    return common
