"""The longest matches, against a naive search."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charloom.novelty import longest_matches as module
from charloom.novelty.longest_matches import longest_matches


def _naive(sample: Any, corpus: Any) -> list[int]:
    """Returns, by end, the length of the longest match in the corpus."""
    return [
        max(length for length in range(end + 1) if sample[end - length : end] in corpus)
        for end in range(1, len(sample) + 1)
    ]


_few = st.text("ab", max_size=60)
_some = st.text("abc\n é\U0001f600", max_size=60)
_units = st.text("ab", min_size=1, max_size=3)
_periodic = st.builds(lambda unit, times, rest: unit * times + rest, _units, st.integers(0, 30), _few)
_any = _few | _some | _periodic | st.text(max_size=30)


@given(samples=st.lists(_any, max_size=4), corpus=_any, min_exact=st.integers(1, 40))
@example(samples=["", "a", ""], corpus="", min_exact=1)
@example(samples=["abab", "ab"], corpus="ba" * 20, min_exact=2)
def test_equals_the_naive_search(samples: list[str], corpus: str, min_exact: int) -> None:
    found = longest_matches(samples, corpus, min_exact=min_exact)
    _check(found, samples, corpus, min_exact)


@given(samples=st.lists(st.binary(max_size=40), max_size=3), corpus=st.binary(max_size=80), min_exact=st.integers(1, 9))
def test_bytes(samples: list[bytes], corpus: bytes, min_exact: int) -> None:
    _check(longest_matches(samples, corpus, min_exact=min_exact), samples, corpus, min_exact)


def _check(found: list[list[int]], samples: Any, corpus: Any, min_exact: int) -> None:
    expected = [_naive(sample, corpus) for sample in samples]
    assert [len(matches) for matches in found] == [len(sample) for sample in samples]
    longest = max((length for matches in expected for length in matches), default=0)
    exact_from = min(min_exact, longest)
    for matches, right in zip(found, expected, strict=True):
        for length, right_length in zip(matches, right, strict=True):
            assert length == right_length if right_length >= exact_from else length <= right_length


@given(corpus=st.text("abc", min_size=1, max_size=80), cut=st.tuples(st.integers(0, 80), st.integers(0, 80)))
def test_excluded_parts_are_not_matched_nor_across_them(corpus: str, cut: tuple[int, int]) -> None:
    start, end = sorted(min(place, len(corpus)) for place in cut)
    # The sample has no such character.
    hollow = corpus[:start] + "-" * (end - start) + corpus[end:]
    (found,) = longest_matches([corpus], corpus, min_exact=1, excluded=[(start, end)] if start < end else [])
    assert found == _naive(corpus, hollow)


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus of many blocks."""
    monkeypatch.setattr(module, "_BLOCK", block)
    sample, corpus = "the cat sat on the mat", "a mat on the mat, a cat sat on it; the cat"
    (found,) = longest_matches([sample], corpus, min_exact=4)
    _check([found], [sample], corpus, 4)
    assert max(found) == len("at on the mat")


def test_lone_surrogates() -> None:
    """A command line passes bytes that are not UTF-8 as such characters."""
    assert longest_matches(["x\udcffy"], "\udcffy", min_exact=1) == [[0, 1, 2]]
