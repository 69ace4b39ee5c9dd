"""For every place of some texts, the longest stretch ending there that a corpus has too; in linear time, exact.

Two steps. First the corpus is thinned: only what shares stretches of some length with the texts is kept, which for
prose is next to nothing. Stretches of length 2n are pairs of stretches of length n, so that each gets a number by
looking up two, for all places of the corpus at once (Karp, Miller and Rosenberg, Rapid identification of repeated
patterns, 1972). Then what is left is read by the suffix automaton of the texts (Blumer et al., The smallest automaton
recognizing the subwords of a text, 1985), a step of Python for each character.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_NONE = 0
"""The number of a stretch that the texts do not have."""
_BLOCK = 1 << 20
"""Places of the corpus looked at in one go: bounds the memory beside the numbers themselves."""
_LARGEST_TABLE = 1 << 22


def longest_matches(
    samples: Sequence[Any], corpus: Any, *, enough: int, without: Sequence[tuple[int, int]] = ()
) -> list[list[int]]:
    """By sample and character, the length of the longest stretch ending with it that the corpus has.

    Exact where that is at least ``enough``, and for the longest stretch of all; others may be given as shorter.

    samples, corpus: All str or all bytes.
    without: Ranges (start, end) of the corpus that are left out of it.
    """
    if not any(map(len, samples)):
        return [[] for _ in samples]
    # One text with an end after each sample that no stretch crosses.
    ends = np.cumsum([len(sample) + 1 for sample in samples]) - 1
    codes = np.concatenate([np.append(_codes(sample), -1) for sample in samples])
    runs = _thinned(codes, _codes(corpus), enough, without)
    # The corpus says the same again and again.
    matches = _Automaton(codes.tolist()).matches(dict.fromkeys(corpus[start:end] for start, end in runs))
    return [matches[end - len(sample) : end] for sample, end in zip(samples, ends.tolist(), strict=True)]


def _codes(text: Any) -> Any:
    """Code points or byte values, as int32."""
    if isinstance(text, bytes):
        return np.frombuffer(text, np.uint8).astype(np.int32)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)


def _thinned(codes: Any, corpus: Any, enough: int, without: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of the corpus that have every stretch of ``enough`` characters, and the longest, that the texts have."""
    known = np.unique(codes[codes >= 0])
    names, there = _looked_up(codes, known), _looked_up(corpus, known)
    for start, end in without:
        there[start:end] = _NONE
    length = 1
    while 2 * length <= enough:
        doubled, keys = _doubled_names(names, length)
        longer = _doubled_places(there, length, int(names.max()), keys)
        if not longer.any():  # the longest stretch is shorter than that
            break
        names, there, length = doubled, longer, 2 * length
    places = np.flatnonzero(there)
    if not len(places):
        return []
    # A longer stretch has a place at each of its characters but the last few.
    gaps = np.flatnonzero(np.diff(places) > 1)
    firsts, lasts = np.append(0, gaps + 1), np.append(gaps, len(places) - 1)
    return list(zip(places[firsts].tolist(), (places[lasts] + length).tolist(), strict=True))


def _pairs(names: Any, length: int, base: int) -> Any:
    """For each place one number for the names of the stretch there and the next; _NONE where either has none."""
    first, second = names[:-length].astype(np.int64), names[length:]
    return np.where((first != _NONE) & (second != _NONE), first * (base + 1) + second, _NONE)


def _doubled_names(names: Any, length: int) -> tuple[Any, Any]:
    """The texts' own stretches of twice the length, and the pairs that they are."""
    pairs = _pairs(names, length, int(names.max()))
    keys = np.unique(pairs[pairs != _NONE])
    return _looked_up(pairs, keys), keys


def _doubled_places(there: Any, length: int, base: int, keys: Any) -> Any:
    """The same of the corpus."""
    doubled = np.full(max(0, len(there) - length), _NONE, np.int32)
    for start in range(0, len(doubled), _BLOCK):
        end = min(start + _BLOCK, len(doubled))
        pairs = _pairs(there[start : end + length], length, base)
        met = np.flatnonzero(pairs)
        doubled[start + met] = _looked_up(pairs[met], keys)
    return doubled


def _looked_up(values: Any, keys: Any) -> Any:
    """For each value 1 + its place among the keys, which are sorted; _NONE where it is not there. As int32."""
    if not len(keys):
        return np.full(len(values), _NONE, np.int32)
    if keys[-1] < _LARGEST_TABLE:
        table = np.zeros(int(keys[-1]) + 2, np.int32)
        table[keys] = np.arange(1, len(keys) + 1)
        # Index -1, the last, is one that no key has.
        return table[np.where((values >= 0) & (values <= keys[-1]), values, -1)]
    places = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    return np.where(keys[places] == values, places + 1, _NONE).astype(np.int32)


class _Automaton:
    """The suffix automaton of a text: its states stand for the sets of places where stretches of it end."""

    def __init__(self, codes: Sequence[int]) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        self._whole = [0]
        """The state of the text as far as each place."""
        for code in codes:
            self._whole.append(self._add(code, self._whole[-1]))

    def _add(self, code: int, last: int) -> int:
        follow, link, length = self._next, self._link, self._length
        state = self._new({}, length[last] + 1)
        before = last
        while before >= 0 and code not in follow[before]:
            follow[before][code] = state
            before = link[before]
        if before < 0:
            link[state] = 0
            return state
        after = follow[before][code]
        if length[after] == length[before] + 1:
            link[state] = after
            return state
        copy = self._new(dict(follow[after]), length[before] + 1)
        link[copy] = link[after]
        link[after] = link[state] = copy
        while before >= 0 and follow[before].get(code) == after:
            follow[before][code] = copy
            before = link[before]
        return state

    def _new(self, follow: dict[int, int], length: int) -> int:
        self._next.append(follow)
        self._link.append(-1)
        self._length.append(length)
        return len(self._length) - 1

    def matches(self, runs: Iterable[Any]) -> list[int]:
        """By character of the text, the longest stretch ending with it that one of the runs has."""
        best = [0] * len(self._length)
        for run in runs:
            self._read(run if isinstance(run, bytes) else map(ord, run), best)
        by_length = sorted(range(1, len(best)), key=self._length.__getitem__)
        for state in reversed(by_length):
            # Whoever has the stretch has all that it ends with.
            link = self._link[state]
            if best[state] and link > 0:
                best[link] = self._length[link]
        for state in by_length:
            if not best[state] and self._link[state] > 0:
                best[state] = best[self._link[state]]
        return [best[state] for state in self._whole[1:]]

    def _read(self, codes: Iterable[int], best: list[int]) -> None:
        follow, link, length = self._next, self._link, self._length
        state = matched = 0
        for code in codes:
            after = follow[state].get(code)
            while after is None and state:
                state = link[state]
                matched = length[state]
                after = follow[state].get(code)
            if after is None:
                continue
            state = after
            matched += 1
            if matched > best[state]:
                best[state] = matched
