import itertools
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from charloom import SettingsError, TrainingSettings
from charloom.text.batching import (
    check_length,
    count_batches,
    draw_offset,
    random_batches,
    sequential_batches,
)
from charloom.training.truncated_bptt import train_epoch


@st.composite
def _plans(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Draws the length of a text, batch size, steps, and an offset."""
    batch_size, num_steps = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    length = batch_size * num_steps + draw(st.integers(1, 80))
    offset = draw(st.integers(0, min(num_steps, length - batch_size * num_steps) - 1))
    return length, batch_size, num_steps, offset


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _all_random(plan: tuple[int, int, int, int], seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    length, batch_size, num_steps, offset = plan
    return list(random_batches(torch.arange(length), batch_size, num_steps, offset, _generator(seed)))


def test_a_small_example_of_sequential_partitioning() -> None:
    batches = list(sequential_batches(torch.arange(16), batch_size=2, num_steps=3, offset=1))
    assert [(inputs.tolist(), targets.tolist()) for inputs, targets in batches] == [
        ([[1, 2, 3], [8, 9, 10]], [[2, 3, 4], [9, 10, 11]]),
        ([[4, 5, 6], [11, 12, 13]], [[5, 6, 7], [12, 13, 14]]),
    ]


@given(plan=_plans())
def test_neighboring_sequential_minibatches_are_adjacent_in_the_text(plan: tuple[int, int, int, int]) -> None:
    length, batch_size, num_steps, offset = plan
    batches = list(sequential_batches(torch.arange(length), batch_size, num_steps, offset))
    assert len(batches) == count_batches(*plan) >= 1
    for inputs, targets in batches:
        assert inputs.shape == targets.shape == (batch_size, num_steps)
        assert torch.equal(targets, inputs + 1)
    for (_, before), (after, _) in itertools.pairwise(batches):
        # A lane continues with the id that was its last target, so that the carried state is the right one.
        assert torch.equal(after[:, 0], before[:, -1])
    lanes = torch.cat([inputs for inputs, _ in batches], 1)
    assert torch.equal(lanes, lanes[:, :1] + torch.arange(lanes.shape[1]))


@given(plan=_plans())
def test_sequential_lanes_have_the_maximum_length(plan: tuple[int, int, int, int]) -> None:
    length, batch_size, num_steps, offset = plan
    batches = list(sequential_batches(torch.arange(length), batch_size, num_steps, offset))
    lanes = torch.cat([inputs for inputs, _ in batches], 1)
    starts, ends = lanes[:, 0].tolist(), (lanes[:, -1] + 1).tolist()
    assert starts[0] == offset
    gaps = [start - end for end, start in zip(ends, starts[1:], strict=False)]
    # Equal distances, no overlap, and less than a sequence omitted between two.
    assert len(set(gaps)) <= 1
    assert all(0 <= gap < num_steps for gap in gaps)
    # Omitted at the end: a lane's rest, for each lane a rest smaller than it, and the last id, which is only a target.
    assert 1 <= length - ends[-1] <= (num_steps - 1) + (batch_size - 1) + 1


class _Recorder:
    """Replaces a model in an epoch of training, and records which ids were inputs."""

    def __init__(self, length: int) -> None:
        self.seen = torch.zeros(length, dtype=torch.bool)
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def begin_state(self, batch_size: int) -> Tensor:
        return torch.zeros(1, batch_size, 1)

    def backpropagate(self, inputs: Tensor, targets: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert torch.equal(targets, inputs + 1)
        self.seen[inputs.flatten()] = True
        return torch.zeros(()), state


@pytest.mark.parametrize("partitioning", ["sequential", "random"])
@pytest.mark.parametrize(
    ("length", "batch_size", "num_steps"),
    [(69, 5, 7), (2000, 32, 35), (10_000, 32, 35), (41, 4, 10), (43, 4, 10), (12, 3, 1)],
)
def test_every_id_is_trained_on_over_the_epochs(
    length: int, batch_size: int, num_steps: int, partitioning: Any
) -> None:
    """Except the unavoidable few at the end: a sequence's rest and one id for each lane."""
    model: Any = _Recorder(length)
    settings = TrainingSettings(batch_size=batch_size, num_steps=num_steps, partitioning=partitioning, clip_norm=0)
    optimizer = torch.optim.SGD([model.weight], 0.1)
    generator = _generator()
    for _ in range(10 * num_steps + 20):  # every offset occurs
        for _ in train_epoch(model, optimizer, torch.arange(length), settings, generator):
            pass
    assert model.seen[: length - num_steps - batch_size].all()
    num_offsets = min(num_steps, length - batch_size * num_steps)
    assert model.seen[:-1].all() or partitioning == "sequential" or num_offsets < num_steps


def test_a_small_example_of_random_partitioning() -> None:
    batches = list(random_batches(torch.arange(14), batch_size=2, num_steps=3, offset=1, generator=_generator()))
    assert len(batches) == 2
    rows = sorted(row for inputs, _ in batches for row in inputs.tolist())
    assert rows == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    assert all(torch.equal(targets, inputs + 1) for inputs, targets in batches)


@given(plan=_plans(), seed=st.integers(0, 99))
@example(plan=(13, 3, 4, 0), seed=0)
def test_random_sequences_are_distinct_and_never_overlap(plan: tuple[int, int, int, int], seed: int) -> None:
    length, batch_size, num_steps, offset = plan
    batches = _all_random(plan, seed)
    assert len(batches) == count_batches(*plan) >= 1
    for inputs, targets in batches:
        assert inputs.shape == targets.shape == (batch_size, num_steps)
        assert torch.equal(targets, inputs + 1)
        assert torch.equal(inputs, inputs[:, :1] + torch.arange(num_steps))
        assert ((inputs[:, 0] - offset) % num_steps == 0).all()
    starts = torch.cat([inputs[:, 0] for inputs, _ in batches]).tolist()
    assert len(set(starts)) == len(starts)
    # Fewer sequences are omitted than a minibatch has.
    assert (length - 1 - offset) // num_steps - len(starts) < batch_size


@given(plan=_plans())
def test_random_partitioning_covers_all_but_the_last_id(plan: tuple[int, int, int, int]) -> None:
    length, _, num_steps, _ = plan
    seen = torch.zeros(length, dtype=torch.bool)
    for offset in range(min(num_steps, length - num_steps)):
        for inputs, _ in _all_random((length, 1, num_steps, offset)):
            seen[inputs] = True
    assert seen.tolist() == [True] * (length - 1) + [False]


@given(plan=_plans(), seed=st.integers(0, 99))
def test_the_same_generator_gives_the_same_order(plan: tuple[int, int, int, int], seed: int) -> None:
    first, second = _all_random(plan, seed), _all_random(plan, seed)
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(first, second, strict=True))


def test_the_order_is_random_and_differs_each_time() -> None:
    def order(generator: torch.Generator) -> list[int]:
        return [int(inputs[0, 0]) for inputs, _ in random_batches(torch.arange(1001), 1, 10, 0, generator)]

    generator = _generator()
    first, second, other = order(generator), order(generator), order(_generator(1))
    assert sorted(first) == sorted(second) == sorted(other) == list(range(0, 1000, 10))
    assert first != sorted(first)
    assert first != second
    assert first != other


@pytest.mark.parametrize("kind", ["sequential", "random"])
def test_ids_are_used_unchanged(kind: str) -> None:
    ids = torch.randint(0, 50, (100,), generator=_generator())
    batches = sequential_batches(ids, 3, 5, 2) if kind == "sequential" else random_batches(ids, 3, 5, 2, _generator())
    positions = (
        sequential_batches(torch.arange(100), 3, 5, 2)
        if kind == "sequential"
        else random_batches(torch.arange(100), 3, 5, 2, _generator())
    )
    for (inputs, targets), (places, _) in zip(batches, positions, strict=True):
        assert torch.equal(inputs, ids[places])
        assert torch.equal(targets, ids[places + 1])


@given(plan=_plans(), seed=st.integers(0, 2**32))
def test_a_drawn_offset_leaves_one_minibatch(plan: tuple[int, int, int, int], seed: int) -> None:
    length, batch_size, num_steps, _ = plan
    offset = draw_offset(length, batch_size, num_steps, _generator(seed))
    assert 0 <= offset < num_steps
    assert count_batches(length, batch_size, num_steps, offset) >= 1


@pytest.mark.parametrize(("length", "bound"), [(21, 1), (23, 3), (25, 5), (1000, 5)])
def test_every_possible_offset_is_drawn(length: int, bound: int) -> None:
    generator = _generator()
    drawn = [draw_offset(length, 4, 5, generator) for _ in range(200)]
    assert set(drawn) == set(range(bound))


def test_the_same_generator_draws_the_same_offsets() -> None:
    drawn = [[draw_offset(1000, 4, 50, generator) for _ in range(9)] for generator in [_generator(3), _generator(3)]]
    assert drawn[0] == drawn[1]


@given(batch_size=st.integers(1, 50), num_steps=st.integers(1, 50), missing=st.integers(1, 50))
def test_a_text_that_is_too_short_is_refused_with_the_required_number(
    batch_size: int, num_steps: int, missing: int
) -> None:
    needed = batch_size * num_steps + 1
    check_length(needed, batch_size, num_steps)
    assert draw_offset(needed, batch_size, num_steps, _generator()) == 0
    length = max(needed - missing, 0)
    expected = f"but a minibatch of {batch_size} x {num_steps} needs {needed}: decrease batch_size"
    with pytest.raises(SettingsError, match=expected):
        check_length(length, batch_size, num_steps)
    with pytest.raises(SettingsError, match=expected):
        draw_offset(length, batch_size, num_steps, _generator())
