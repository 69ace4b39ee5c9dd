"""A long text as minibatches, in the textbook's two ways.

- Sequential partitioning: the text is cut into ``batch_size`` lanes, and each minibatch takes the next ``num_steps``
  ids of every lane, so that the state of one minibatch is where the next begins.
- Random partitioning: the text is cut into sequences of ``num_steps`` ids, taken in random order; no state is carried.

Either starts at an offset, drawn for each epoch, so that sequences begin at every place. What does not fill a sequence
is left out: at the end of the text, or of each lane. Targets are the inputs, one character on.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import Argument, SettingsError
from charloom.shapes import Ids
from charloom.text.stored_ids import AnyIds, as_stored

ALL_ROWS = slice(None)
MAX_LISTED = 1 << 24
_NUM_ROUNDS = 8
_IDS_AT_ONCE = 1 << 16
"""Of all lanes together, which are read together."""


def check_length(length: int, batch_size: int, num_steps: int, gradient_accumulation_steps: int = 1) -> None:
    """Raises SettingsError if a text of ``length`` ids does not fill one minibatch, or as many as make one step."""
    batch_size *= gradient_accumulation_steps
    needed = batch_size * num_steps + 1
    if length < needed:
        raise SettingsError(
            f"the training text has {length} characters, one minibatch of {batch_size} x {num_steps} takes {needed}: ",
            *("lower ", *((Argument("gradient_accumulation_steps"), ", ") if gradient_accumulation_steps > 1 else ())),
            *(Argument("batch_size"), " or ", Argument("num_steps"), ", or give it more text"),
        )


def draw_offset(length: int, batch_size: int, num_steps: int, generator: torch.Generator) -> int:
    """Returns a random offset for an epoch, below ``num_steps``, that leaves room for at least one minibatch."""
    check_length(length, batch_size, num_steps)
    bound = min(num_steps, length - batch_size * num_steps)
    return int(torch.randint(bound, (1,), generator=generator))


def end_of_equal_lanes(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """Returns the end of a text of ``length`` ids that gives its lanes the same length at every offset.

    If their length changed with the offset, as it does on the whole text, so would their borders, and some ids would
    stay in the gap at a lane's end whatever the offset. Lanes of one length have every id trained on before long.
    """
    num_offsets = min(num_steps, length - batch_size * num_steps)
    lane_length = (length - num_offsets) // batch_size
    return offset + batch_size * lane_length + 1


def count_batches(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """Returns the number of minibatches in an epoch, for either sampling method."""
    return (length - offset - 1) // (batch_size * num_steps)


def sequential_batches(
    ids: AnyIds,
    batch_size: int,
    num_steps: int,
    offset: int,
    rows: slice = ALL_ROWS,
    first: int = 0,
    *,
    with_rest: bool = False,
) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (batch, steps), neighbouring minibatches neighbours in the text.

    Lanes are as long as they can be; up to ``num_steps - 1`` ids at a lane's end are left out, as in the textbook.
    rows: The part of each minibatch that is yielded. first: The number of the minibatch to begin with. with_rest: Yield
    the ids at the lanes' ends too, as a shorter minibatch.
    """
    stored = as_stored(ids)
    lane_length = (len(stored) - offset - 1) // batch_size
    starts = offset + lane_length * np.arange(batch_size)[rows]
    end = lane_length if with_rest else lane_length // num_steps * num_steps
    many = num_steps * max(1, _IDS_AT_ONCE // (len(starts) * num_steps))
    for begin in range(first * num_steps, end, many):
        block = stored.sequences(starts + begin, min(many, end - begin) + 1)
        yield from zip(*(torch.split(part, num_steps, 1) for part in (block[:, :-1], block[:, 1:])), strict=True)


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
    order = random_order((len(stored) - offset - 1) // num_steps, generator)
    num_batches = count_batches(len(stored), batch_size, num_steps, offset)
    for number in range(first, num_batches):
        chosen = order(number * batch_size, (number + 1) * batch_size)[rows]
        both = stored.sequences(offset + num_steps * chosen, num_steps + 1)
        yield both[:, :-1], both[:, 1:]


def random_order(count: int, generator: torch.Generator) -> Callable[[int, int], NDArray[np.int64]]:
    """An order of the numbers below ``count``, 1 or more: ``order(start, stop)`` gives those at these places.

    Up to 16 million it is PyTorch's permutation. Above, where a list would take gigabytes, the bits of a number are
    mixed in rounds that can be undone: each, and so all together, gives every number of so many bits exactly once, in
    an order that only the keys know. A result that is ``count`` or more is mixed again until it is below (J. Black and
    P. Rogaway, Ciphers with Arbitrary Finite Domains, 2002).
    """
    if count <= MAX_LISTED:
        listed = torch.randperm(count, generator=generator).numpy()
        return lambda start, stop: listed[start:stop]
    keys = torch.randint(2**63 - 1, (_NUM_ROUNDS,), generator=generator).numpy().astype(np.uint64)
    num_bits = (count - 1).bit_length()
    mask, shift = np.uint64(2**num_bits - 1), np.uint64(num_bits // 2 + 1)

    def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        for key in keys:
            numbers = (numbers + key) * (key | np.uint64(1)) & mask
            numbers ^= numbers >> shift
        return numbers

    def order(start: int, stop: int) -> NDArray[np.int64]:
        results = mixed(np.arange(start, stop, dtype=np.uint64))
        while len(outside := np.flatnonzero(results >= count)):
            results[outside] = mixed(results[outside])
        return results.astype(np.int64)

    return order
