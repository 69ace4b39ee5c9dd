"""A long text as minibatches, in the textbook's two ways.

- Sequential partitioning: the text is cut into ``batch_size`` lanes, and each minibatch takes the next ``num_steps``
  ids of every lane, so that the state of one minibatch is where the next begins.
- Random partitioning: the text is cut into sequences of ``num_steps`` ids, taken in random order; no state is carried.

Either starts at an offset, drawn for each epoch, so that sequences begin at every place. What does not fill a sequence
is left out: at the end of the text, or of each lane. Targets are the inputs, one character on.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import Argument, SettingsError
from charloom.shapes import Ids
from charloom.text.stored_ids import AnyIds, as_stored

Order: TypeAlias = Callable[[int, int], NDArray[np.int64]]
"""``order(start, stop)``: the numbers at these places of the order, int64 (stop - start,)."""

ALL_ROWS = slice(None)
MAX_LISTED = 1 << 24
_NUM_ROUNDS = 8
_SEQUENCES_AT_ONCE = 1 << 14
"""Whose places are drawn together."""
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
    """A random place to begin an epoch: below ``num_steps``, and leaving room for one minibatch at least."""
    check_length(length, batch_size, num_steps)
    bound = min(num_steps, length - batch_size * num_steps)
    return int(torch.randint(bound, (1,), generator=generator))


def end_of_equal_lanes(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """The end of a text of ``length`` ids that makes its lanes as long from this offset as from every other.

    If their length changed with the offset, as it does on the whole text, so would their borders, and some ids would
    stay in the gap at a lane's end whatever the offset. Lanes of one length have every id trained on before long.
    """
    num_offsets = min(num_steps, length - batch_size * num_steps)
    lane_length = (length - num_offsets) // batch_size
    return offset + batch_size * lane_length + 1


def count_batches(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """The number of minibatches of an epoch, in either way."""
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
    num_drawn = max(1, _SEQUENCES_AT_ONCE // batch_size)
    for begin in range(first, num_batches, num_drawn):
        end = min(begin + num_drawn, num_batches)
        for chosen in order(begin * batch_size, end * batch_size).reshape(-1, batch_size):
            both = stored.sequences(offset + num_steps * chosen[rows], num_steps + 1)
            yield both[:, :-1], both[:, 1:]


def random_order(count: int, generator: torch.Generator) -> Order:
    """An order of the numbers below ``count``, 1 or more, drawn from the generator.

    Up to 16 million it is PyTorch's permutation. Above, where a list would take gigabytes, it is a Feistel network on
    the bits of a number: each of its rounds, and so the whole, gives every number exactly once, in an order that only
    the keys know. A result that is n or more is put through again until it is below (J. Black and P. Rogaway, Ciphers
    with Arbitrary Finite Domains, 2002).
    """
    if count <= MAX_LISTED:
        listed = torch.randperm(count, generator=generator).numpy()
        return lambda start, stop: listed[start:stop]
    keys = torch.randint(2**63 - 1, (_NUM_ROUNDS,), generator=generator).tolist()
    return lambda start, stop: _permute(np.arange(start, stop, dtype=np.uint64), count, keys).astype(np.int64)


def _permute(numbers: NDArray[np.uint64], count: int, keys: list[int]) -> NDArray[np.uint64]:
    """Each of the numbers, all below ``count``, in the network of the keys."""
    num_bits = (count - 1).bit_length()
    results = _network(numbers, num_bits, keys)
    while len(outside := np.flatnonzero(results >= count)):
        results[outside] = _network(results[outside], num_bits, keys)
    return results


def _network(numbers: NDArray[np.uint64], num_bits: int, keys: list[int]) -> NDArray[np.uint64]:
    low_bits = np.uint64(num_bits // 2)
    low_mask = (np.uint64(1) << low_bits) - np.uint64(1)
    high_mask = (np.uint64(1) << (np.uint64(num_bits) - low_bits)) - np.uint64(1)
    high, low = numbers >> low_bits, numbers & low_mask
    for i, key in enumerate(keys):
        if i % 2:
            high = high ^ (_mixed(low + np.uint64(key)) & high_mask)
        else:
            low = low ^ (_mixed(high + np.uint64(key)) & low_mask)
    return high << low_bits | low


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finalizer: 64 bits, each of which depends on all of a number's (G. Steele and others, 2014)."""
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)
