"""Minibatches of a long text, by the textbook's sequential or random partitioning.

- Sequential partitioning: the text is divided into ``batch_size`` parts of equal length, and each minibatch takes the
  next ``num_steps`` ids of every part, so that the final state of a minibatch is the initial state of the next.
- Random partitioning: the text is divided into sequences of ``num_steps`` ids, taken in random order; no state is
  carried over.

Both start at an offset that is drawn for each epoch, so that a sequence may start at any id. Ids at the end of the
text, or of each part, that do not fill a sequence are omitted; so are random sequences that do not fill a minibatch.
The targets are the inputs shifted by one id.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import Argument, SettingsError, pluralize
from charloom.shapes import Ids
from charloom.text.stored_ids import AnyIds, as_stored

ALL_ROWS = slice(None)
MAX_STORED_PERMUTATION = 1 << 24
"""Maximum length of a permutation that is held in memory, 128 MiB as int64."""
_NUM_ROUNDS = 8
_IDS_PER_READ = 1 << 16
"""Number of ids that sequential batches read at once, for all sequences together."""


def check_length(length: int, batch_size: int, num_steps: int, gradient_accumulation_steps: int = 1) -> None:
    """Raises SettingsError if a text of ``length`` ids does not fill the minibatches of one training step."""
    batch_size *= gradient_accumulation_steps
    # One more id, as the targets are the inputs shifted by one.
    needed = batch_size * num_steps + 1
    if length < needed:
        step = "a training step" if gradient_accumulation_steps > 1 else "a minibatch"
        raise SettingsError(
            f"the training text has {pluralize(length, 'token')}, but {step} of {batch_size} x {num_steps} needs "
            f"{needed}: ",
            *(
                "decrease ",
                *((Argument("gradient_accumulation_steps"), ", ") if gradient_accumulation_steps > 1 else ()),
            ),
            *(Argument("batch_size"), " or ", Argument("num_steps"), ", or use more text"),
        )


def draw_offset(length: int, batch_size: int, num_steps: int, generator: torch.Generator) -> int:
    """Returns a random offset for an epoch, below ``num_steps``, that leaves room for at least one minibatch.

    Raises SettingsError if the text is too short for a minibatch.
    """
    check_length(length, batch_size, num_steps)
    # At least 1: check_length requires one id more than a minibatch of inputs has.
    bound = min(num_steps, length - batch_size * num_steps)
    return int(torch.randint(bound, (1,), generator=generator))


def end_of_equal_parts(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """Returns the end at which an epoch with this offset cuts the text.

    It is chosen so that the parts of all epochs have the same length.
    """
    # On the whole text, the length of the parts, and with it their borders, would depend on the offset, and some ids
    # would be in the gap at a part's end at every offset. With parts of equal length, all ids are trained on over the
    # epochs.
    num_offsets = min(num_steps, length - batch_size * num_steps)
    part_length = (length - num_offsets) // batch_size
    return offset + batch_size * part_length + 1


def count_batches(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """Returns the number of minibatches of a text of ``length`` ids, for either sampling method.

    For an epoch by sequential partitioning, the length is that of ``end_of_equal_parts``.
    """
    return (length - offset - 1) // (batch_size * num_steps)


def sequential_batches(
    ids: AnyIds,
    batch_size: int,
    num_steps: int,
    offset: int,
    rows: slice = ALL_ROWS,
    first: int = 0,
    *,
    include_rest: bool = False,
) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (batch, steps); consecutive minibatches are consecutive in the text.

    The parts have the maximum length; up to ``num_steps - 1`` ids at the end of each are omitted, as in the textbook.

    Args:
        ids: Token ids of the text, (number of tokens,).
        batch_size: Number of parts, one for each sequence of a minibatch.
        num_steps: Number of time steps of a minibatch.
        offset: Number of ids to skip at the start of the text.
        rows: Rows of each minibatch to yield. Default: all.
        first: Index of the first minibatch to yield, from 0.
        include_rest: True to yield the ids at the ends of the parts too, as a last, shorter minibatch.
    """
    stored = as_stored(ids)
    part_length = (len(stored) - offset - 1) // batch_size
    # Rows are selected after all parts are determined, so that every process has the same parts.
    starts = offset + part_length * np.arange(batch_size)[rows]
    end = part_length if include_rest else part_length // num_steps * num_steps
    # Each read of a file costs a system call per sequence: one for many minibatches, not one for each.
    ids_per_read = num_steps * max(1, _IDS_PER_READ // (len(starts) * num_steps))
    for start in range(first * num_steps, end, ids_per_read):
        # One more id than inputs, so that a single read yields the targets too.
        block = stored.sequences(starts + start, min(ids_per_read, end - start) + 1)
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
    """Yields (inputs, targets), each (batch, steps), of sequences in random order.

    Up to ``batch_size - 1`` sequences, the last in this order, do not fill a minibatch and are omitted.

    Args:
        ids: Token ids of the text, (number of tokens,).
        batch_size: Number of sequences in a minibatch.
        num_steps: Number of time steps of a sequence.
        offset: Number of ids to skip at the start of the text.
        generator: Random-number generator of the order.
        rows: Rows of each minibatch to yield. Default: all.
        first: Index of the first minibatch to yield, from 0.
    """
    stored = as_stored(ids)
    # Drawn in full, whatever ``first`` and ``rows`` are: a resumed run and all processes need the same order.
    order = random_order((len(stored) - offset - 1) // num_steps, generator)
    num_batches = count_batches(len(stored), batch_size, num_steps, offset)
    for number in range(first, num_batches):
        chosen = order(number * batch_size, (number + 1) * batch_size)[rows]
        block = stored.sequences(offset + num_steps * chosen, num_steps + 1)
        yield block[:, :-1], block[:, 1:]


def random_order(count: int, generator: torch.Generator) -> Callable[[int, int], NDArray[np.int64]]:
    """Returns a random permutation of ``range(count)`` as a function: ``order(start, stop)`` is its slice, int64.

    Up to 16 million numbers it is PyTorch's permutation. A larger one, which could take gigabytes, is computed on
    demand by a keyed bijection with cycle walking (J. Black and P. Rogaway, Ciphers with Arbitrary Finite Domains,
    2002).

    Args:
        count: Length of the permutation, 1 or more.
        generator: Random-number generator of the permutation or of the keys.
    """
    if count <= MAX_STORED_PERMUTATION:
        permutation = torch.randperm(count, generator=generator).numpy()
        return lambda start, stop: permutation[start:stop]
    # Each round is invertible (an odd factor modulo 2**num_bits, a shift and exclusive or), so all rounds together are
    # a permutation of the numbers of num_bits bits.
    keys = torch.randint(2**63 - 1, (_NUM_ROUNDS,), generator=generator).numpy().astype(np.uint64)
    num_bits = (count - 1).bit_length()
    mask, shift = np.uint64(2**num_bits - 1), np.uint64(num_bits // 2 + 1)

    def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        for key in keys:
            # uint64 wraps on overflow, which leaves the low bits that the mask selects correct.
            numbers = (numbers + key) * (key | np.uint64(1)) & mask
            numbers ^= numbers >> shift
        return numbers

    def order(start: int, stop: int) -> NDArray[np.int64]:
        results = mix(np.arange(start, stop, dtype=np.uint64))
        # Cycle walking: a result out of range is mixed again. As 2**num_bits is less than twice ``count``, a number
        # takes fewer than two mixings on average.
        while len(outside := np.flatnonzero(results >= count)):
            results[outside] = mix(results[outside])
        # NumPy converts a sum of uint64 and int64 to float64, so indices are int64.
        return results.astype(np.int64)

    return order
