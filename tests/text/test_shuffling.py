"""Random orders: each number once, with and without a list of them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom.text import batching
from charloom.text.batching import random_batches, random_order


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_STORED_PERMUTATION", 0)


def test_an_order_with_a_list_is_pytorchs() -> None:
    """Earlier runs can be reproduced."""
    listed = torch.randperm(1000, generator=_generator(3)).tolist()
    order = random_order(1000, _generator(3))
    assert order(0, 1000).tolist() == listed
    assert order(10, 20).tolist() == listed[10:20]


@pytest.mark.usefixtures("unlisted")
@given(count=st.integers(1, 3000), seed=st.integers(0, 99), borders=st.lists(st.integers(0, 3000), max_size=5))
def test_each_number_comes_once(count: int, seed: int, borders: list[int]) -> None:
    """In any chunks, the same each time."""
    order = random_order(count, _generator(seed))
    places = [0, *sorted(border % (count + 1) for border in borders), count]
    drawn = np.concatenate([order(a, b) for a, b in itertools.pairwise(places)])
    assert drawn.dtype == np.int64
    assert sorted(drawn.tolist()) == list(range(count))
    assert random_order(count, _generator(seed))(0, count).tolist() == drawn.tolist()


@pytest.mark.parametrize("count", [2**31 - 1, 123_456_789_012, 2**40])
def test_an_order_that_exceeds_memory(count: int) -> None:
    drawn = random_order(count, _generator(0))(count - 100_000, count)
    assert len(set(drawn.tolist())) == 100_000
    assert drawn.min() >= 0
    assert drawn.max() < count
    # Each tenth has about a tenth: 10,000 with a deviation of 95.
    shares = np.bincount(drawn * 10 // count, minlength=10)
    assert abs(shares - 10_000).max() < 600


@pytest.mark.usefixtures("unlisted")
def test_the_order_looks_random() -> None:
    """Neighbors are not near each other, first places hold any number, another draw is another order."""
    count = 10_000
    generator = _generator(0)
    orders = [random_order(count, generator)(0, count) for _ in range(40)]
    for drawn in orders:
        # Mean distance of two random numbers: a third of the range, with a deviation of 0.24 % of it here.
        assert abs(np.abs(np.diff(drawn)).mean() / count - 1 / 3) < 0.015
        assert abs(np.corrcoef(drawn, np.arange(count))[0, 1]) < 0.05
    assert len({int(drawn[0]) for drawn in orders}) > 35
    fixed = [int((a == b).sum()) for a, b in itertools.pairwise(orders)]
    assert max(fixed) < 10  # one on average


@pytest.mark.usefixtures("unlisted")
def test_batches_of_a_text_whose_order_is_not_listed() -> None:
    ids = torch.arange(1000)
    batches = list(random_batches(ids, 4, 7, 3, _generator(0)))
    assert len(batches) == (1000 - 3 - 1) // 7 // 4
    starts = torch.cat([inputs[:, 0] for inputs, _ in batches]).tolist()
    assert len(set(starts)) == len(starts) == 4 * len(batches)
    assert all(start % 7 == 3 for start in starts)
    assert all(torch.equal(targets, inputs + 1) for inputs, targets in batches)
