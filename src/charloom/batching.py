"""A long text as minibatches, in the textbook's two ways.

- Sequential partitioning: the text is cut into ``batch_size`` lanes, and each minibatch takes the next ``num_steps``
  ids of every lane, so that the state of one minibatch is where the next begins.
- Random partitioning: the text is cut into sequences of ``num_steps`` ids, taken in random order; no state is carried.

Either starts at an offset, drawn anew for each epoch, so that sequences begin at every place. What does not fill a
sequence is left out: at the end of the text, or of each lane. Targets are the inputs, one character on.
"""

from collections.abc import Iterator

import torch

from charloom.errors import SettingsError
from charloom.shapes import Ids, TextIds


def check_length(length: int, batch_size: int, num_steps: int) -> None:
    """Raises SettingsError where a text of ``length`` ids does not fill one minibatch."""
    needed = batch_size * num_steps + 1
    if length < needed:
        raise SettingsError(
            f"the training text has {length} characters, one minibatch of {batch_size} x {num_steps} takes {needed}: "
            "lower batch_size or num_steps, or give it more text"
        )


def draw_offset(length: int, batch_size: int, num_steps: int, generator: torch.Generator) -> int:
    """A random place to begin an epoch: below ``num_steps``, and leaving room for one minibatch at least."""
    check_length(length, batch_size, num_steps)
    bound = min(num_steps, length - batch_size * num_steps)
    return int(torch.randint(bound, (1,), generator=generator))


def num_sequential(length: int, batch_size: int, num_steps: int, offset: int) -> int:
    """How many minibatches ``sequential_batches`` gives."""
    return (length - offset - 1) // batch_size // num_steps


def sequential_batches(
    ids: TextIds, batch_size: int, num_steps: int, offset: int, first: int = 0
) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (batch, steps), neighbouring minibatches neighbours in the text.

    Lanes are as long as they can be; up to ``num_steps - 1`` ids at a lane's end are left out, as in the textbook.

    first: The number of the minibatch to begin with.
    """
    lane_length = (len(ids) - offset - 1) // batch_size
    used = batch_size * lane_length
    inputs = ids[offset : offset + used].view(batch_size, lane_length)
    targets = ids[offset + 1 : offset + 1 + used].view(batch_size, lane_length)
    for i in range(first, num_sequential(len(ids), batch_size, num_steps, offset)):
        steps = slice(i * num_steps, (i + 1) * num_steps)
        yield inputs[:, steps], targets[:, steps]


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
    ids: TextIds, batch_size: int, num_steps: int, offset: int, generator: torch.Generator, first: int = 0
) -> Iterator[tuple[Ids, Ids]]:
    """Yields (inputs, targets), each (batch, steps), sequences in random order, from minibatch ``first`` on."""
    num_sequences = (len(ids) - offset - 1) // num_steps
    used = num_sequences * num_steps
    inputs = ids[offset : offset + used].view(num_sequences, num_steps)
    targets = ids[offset + 1 : offset + 1 + used].view(num_sequences, num_steps)
    order = torch.randperm(num_sequences, generator=generator).to(ids.device)
    for i in range(first, num_random(len(ids), batch_size, num_steps, offset)):
        chosen = order[i * batch_size : (i + 1) * batch_size]
        yield inputs[chosen], targets[chosen]
