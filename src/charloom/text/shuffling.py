"""The numbers below n in random order, without a list of them where it would be large.

Up to 16 million it is PyTorch's permutation. Above, where a list would take gigabytes, it is a Feistel network on the
bits of a number: each of its rounds, and so the whole, gives every number exactly once, in an order that only the keys
know. A result that is n or more is put through again until it is below (J. Black and P. Rogaway, Ciphers with Arbitrary
Finite Domains, 2002).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Order: TypeAlias = Callable[[int, int], NDArray[np.int64]]
"""``order(start, stop)``: the numbers at these places of the order, int64 (stop - start,)."""

LARGEST_LISTED = 1 << 24
_NUM_ROUNDS = 8


def random_order(count: int, generator: torch.Generator) -> Order:
    """An order of the numbers below ``count``, 1 or more, drawn from the generator."""
    if count <= LARGEST_LISTED:
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
