"""Token ids in as few bytes as they need, in memory or in a file, read as int64.

A text of four billion characters is a file of four gigabytes, of which a minibatch reads a few kilobytes.
"""

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from charloom.shapes import TextIds

_READ_AROUND = 1 << 16
"""Bytes that come into memory with the first one that is touched: Linux maps 16 pages at a time."""
_MOST_RESIDENT = 1 << 28
_IDS_AT_ONCE = 1 << 20


class StoredIds:
    """The token ids of a text: stored narrow, read wide.

    Indexing reads: ``ids[:70]`` is an int64 tensor, (70,), of the reader's own; ``ids[:]`` is all of them, 8 bytes an
    id. ``part`` and ``view`` read nothing: they show some of the same ids, or the same ids in rows.
    """

    def __init__(self, stored: Any, id_of: Any = None, file: "MappedFile | None" = None) -> None:
        """Shows an array of integers, of one or two dimensions.

        Args:
            stored: The array.
            id_of: The id that each stored number stands for, int64 (numbers,); None where they are the ids.
            file: Where the array is mapped from.
        """
        self._stored, self._id_of, self._file = stored, id_of, file

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """As a tensor's."""
        shape: tuple[int, ...] = self._stored.shape
        return shape

    @property
    def bytes_per_id(self) -> int:
        """What one takes where it is stored."""
        size: int = self._stored.itemsize
        return size

    def __getitem__(self, place: Any) -> Tensor:
        """The ids at a place or places, indexed as an array is, int64."""
        stored = self._stored[place]
        ids = stored.astype(np.int64, copy=False) if self._id_of is None else self._id_of.take(stored)
        if self._file is not None:
            self._file.has_read(len(stored) if stored.ndim > 1 else 1, stored.nbytes)
        return torch.as_tensor(ids)

    def __iter__(self) -> Iterator[int]:
        """The ids of a text, one after the other."""
        for start in range(0, len(self), _IDS_AT_ONCE):
            yield from self[start : start + _IDS_AT_ONCE].tolist()

    def __repr__(self) -> str:
        return f"StoredIds({' x '.join(map(str, self.shape))}, {self.bytes_per_id} bytes each)"

    def tolist(self) -> Any:
        """As a tensor's."""
        return self[:].tolist()

    def part(self, start: int, stop: int | None = None) -> "StoredIds":
        """Those from ``start`` to before ``stop``."""
        return StoredIds(self._stored[start:stop], self._id_of, self._file)

    def view(self, rows: int, columns: int) -> "StoredIds":
        """The same ids in rows, one after the other; there must be rows times columns of them."""
        return StoredIds(self._stored.reshape(rows, columns), self._id_of, self._file)

    def renumbered(self, numbers: Sequence[int]) -> "StoredIds":
        """The same, each id i read as ``numbers[i]``."""
        new = np.array(numbers, np.int64)
        return StoredIds(self._stored, new if self._id_of is None else new.take(self._id_of), self._file)


AnyIds: TypeAlias = TextIds | StoredIds
"""A text as token ids, in either form."""


def as_stored(ids: AnyIds) -> StoredIds:
    """The ids as StoredIds; a tensor's are shared."""
    return ids if isinstance(ids, StoredIds) else StoredIds(ids.numpy(force=True))


class MappedFile:
    """A file in the address space, to be read; what was read long ago does not stay in this process' memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Maps the first ``size`` bytes, 1 or more, which must be there. The file may then be closed, or unlinked."""
        self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        self._resident = 0

    def array(self, dtype: Any) -> Any:
        """The bytes as an array, read-only, (numbers,)."""
        return np.frombuffer(self._map, dtype)

    def has_read(self, places: int, num_bytes: int) -> None:
        """Counts what was read, ``num_bytes`` in so many places, and lets go of the pages when they are many.

        They stay in the system's cache while there is room, and come back from there in a microsecond.
        """
        self._resident += places * _READ_AROUND + num_bytes
        if self._resident > _MOST_RESIDENT and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._resident = 0
