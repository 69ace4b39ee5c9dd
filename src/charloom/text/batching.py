"""A long text as minibatches, in the textbook's two ways.

- Sequential partitioning: the text is cut into ``batch_size`` lanes, and each minibatch takes the next ``num_steps``
  ids of every lane, so that the state of one minibatch is where the next begins.
- Random partitioning: the text is cut into sequences of ``num_steps`` ids, taken in random order; no state is carried.

Either starts at an offset, drawn anew for each epoch, so that sequences begin at every place. What does not fill a
sequence is left out: at the end of the text, or of each lane. Targets are the inputs, one character on.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import Argument, SettingsError
from charloom.shapes import Ids
from charloom.text.shuffling import random_order
from charloom.text.stored_ids import AnyIds, as_stored

_SEQUENCES_AT_ONCE = 1 << 14
"""Whose places are drawn together."""
_IDS_AT_ONCE = 1 << 16
"""Of all lanes together, which are read together."""


def check_length(length: int, batch_size: int, num_steps: int, accumulate: int = 1) -> None:
    """Raises SettingsError where a text of ``length`` ids does not fill one minibatch, or as many as make one step."""
    batch_size *= accumulate
    needed = batch_size * num_steps + 1
    if length < needed:
        raise SettingsError(
            f"the training text has {length} characters, one minibatch of {batch_size} x {num_steps} takes {needed}: ",
            *("lower ", *((Argument("accumulate"), ", ") if accumulate > 1 else ())),
            *(Argument("batch_size"), " or ", Argument("num_steps"), ", or give it more text"),
        )


def draw_offset(length: int, batch_size: int, num_steps: int, generator: torch.Generator) -> int:
    """A random place to begin an epoch: below ``num_steps``, and leaving room for one minibatch at least."""
    check_length(length, batch_size, num_steps)
    bound = min(num_steps, length - batch_size * num_steps)
    return int(torch.randint(bound, (1,), generator=generator))


def num_sequential(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """How many minibatches ``sequential_batches`` gives."""
    return (length - offset - 1) // batch_size // num_steps


ALL_ROWS = slice(None)


def sequential_batches(
    ids: AnyIds, batch_size: int, num_steps: int, offset: int, rows: slice = ALL_ROWS, first: int = 0
) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (batch, steps), neighbouring minibatches neighbours in the text.

    Lanes are as long as they can be; up to ``num_steps - 1`` ids at a lane's end are left out, as in the textbook.
    rows: The part of each minibatch that is yielded. first: The number of the minibatch to begin with.
    """
    lane_length = (len(ids) - offset - 1) // batch_size
    skipped, used = first * num_steps, lane_length // num_steps * num_steps
    starts = offset + lane_length * np.arange(batch_size)[rows] + skipped
    yield from lane_batches(ids, starts, used - skipped, num_steps)


def lane_batches(ids: AnyIds, starts: NDArray[np.int64], length: int, num_steps: int) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (lanes, steps): the next ids of every lane, the last time what is left of them.

    starts: Where each lane begins, an int64 array (lanes,). length: of each.
    """
    stored = as_stored(ids)
    many = num_steps * max(1, _IDS_AT_ONCE // (len(starts) * num_steps))
    for begin in range(0, length, many):
        block = stored.sequences(starts + begin, min(many, length - begin) + 1)
        for at in range(0, block.shape[1] - 1, num_steps):
            both = block[:, at : at + num_steps + 1]
            yield both[:, :-1], both[:, 1:]


def end_of_equal_lanes(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """Where a text of ``length`` ids is to end so that its lanes are as long from this offset as from every other.

    Where their length changes with the offset, as it does on the whole text, so do their borders, and some ids stay in
    the gap at a lane's end whatever the offset; where it does not, every id of a lane is trained on before long.
    """
    num_offsets = min(num_steps, length - batch_size * num_steps)
    lane_length = (length - num_offsets) // batch_size
    return offset + batch_size * lane_length + 1


def num_random(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """How many minibatches ``random_batches`` gives."""
    return (length - offset - 1) // num_steps // batch_size


def random_batches(
    ids: AnyIds,
    batch_size: int,
    num_steps: int,
    offset: int,
    generator: torch.Generator,
    rows: slice = ALL_ROWS,
    first: int = 0,
) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (batch, steps), sequences in random order; rows and first as above."""
    stored = as_stored(ids)
    order = random_order((len(ids) - offset - 1) // num_steps, generator)
    num_batches = num_random(len(ids), batch_size, num_steps, offset)
    num_drawn = max(1, _SEQUENCES_AT_ONCE // batch_size)
    for begin in range(first, num_batches, num_drawn):
        end = min(begin + num_drawn, num_batches)
        for chosen in order(begin * batch_size, end * batch_size).reshape(-1, batch_size):
            both = stored.sequences(offset + num_steps * chosen[rows], num_steps + 1)
            yield both[:, :-1], both[:, 1:]
