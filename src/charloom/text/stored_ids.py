"""Token ids in as few bytes as they need, in memory or in a file, read as int64.

A text of four billion characters is a file of four gigabytes, of which a minibatch reads a few kilobytes.
"""

import mmap
import os
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from torch import Tensor

from charloom.arguments import check_type
from charloom.errors import CorpusError, InputError
from charloom.settings.limits import check_count
from charloom.shapes import Ids, TextIds

_IDS_AT_ONCE = 1 << 20


class StoredIds:
    """The token ids of a text: stored narrow, read wide.

    Indexing reads: ``ids[:70]`` is an int64 tensor, (70,), of the reader's own; ``ids[:]`` is all of them, 8 bytes an
    id. ``part`` reads nothing: it shows some of the same ids.
    """

    def __init__(self, stored: Any, id_of: Any = None, file: "MappedFile | None" = None, start: int = 0) -> None:
        """Shows an array of integers, (ids,).

        Args:
            stored: The array.
            id_of: The id that each stored number stands for, int64 (numbers,); None where they are the ids.
            file: Where the array is mapped from.
            start: Its first number's place in the file.

        Raises InputError if it is another array.
        """
        integers = isinstance(stored, np.ndarray) and stored.ndim == 1 and stored.dtype.kind in "iu"
        if not integers or not np.can_cast(stored.dtype, np.int64):
            raise InputError("it must be an array of integers, (ids,)", setting="stored", value=stored)
        self._stored, self._id_of, self._file, self._start = stored, id_of, file, start

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def shape(self) -> tuple[int]:
        """As a tensor's."""
        return (len(self),)

    @property
    def bytes_per_id(self) -> int:
        """What one takes where it is stored."""
        size: int = self._stored.itemsize
        return size

    def __getitem__(self, place: int | slice) -> Tensor:
        """The ids at a place, or of a slice, int64."""
        stored = self._stored[place]
        ids = self._wide(stored)
        if self._file is not None:
            self._file.has_read(1, stored.nbytes)
        return ids

    def __iter__(self) -> Iterator[int]:
        """One after the other."""
        for start in range(0, len(self), _IDS_AT_ONCE):
            yield from self[start : start + _IDS_AT_ONCE].tolist()

    def __repr__(self) -> str:
        return f"StoredIds({len(self)} ids of {self.bytes_per_id} bytes)"

    def tolist(self) -> list[int]:
        """As a tensor's."""
        return list(self)

    def part(self, start: int, stop: int | None = None) -> "StoredIds":
        """Those from ``start`` to before ``stop``, both 0 or more."""
        check_count("start", start)
        if stop is not None:
            check_count("stop", stop)
        return StoredIds(self._stored[start:stop], self._id_of, self._file, self._start + start)

    def sequences(self, starts: Any, length: int) -> Ids:
        """So many ids from each of these places on, int64 (places, length). The places are an int64 array."""
        check_count("length", length)
        listed = isinstance(starts, np.ndarray) and starts.ndim == 1 and starts.dtype == np.int64
        if not listed or (len(starts) and not 0 <= starts.min() <= starts.max() <= len(self) - length):
            raise InputError(f"must be an int64 array of numbers from 0 to {len(self) - length}", setting="starts")
        if self._file is not None and self._file.reads_past_the_map(length * self.bytes_per_id):
            stored = self._file.read((starts + self._start) * self.bytes_per_id, length, self._stored.dtype)
        else:
            stored = self._stored[starts[:, None] + np.arange(length)]
            if self._file is not None:
                self._file.has_read(len(starts), stored.nbytes)
        return self._wide(stored)

    def renumbered(self, numbers: Sequence[int]) -> "StoredIds":
        """The same, each id i read as ``numbers[i]``."""
        check_type(Sequence, numbers=numbers)
        for number in numbers:
            check_count("numbers", number)
        new = np.array(numbers, np.int64)
        try:
            id_of = new if self._id_of is None else new.take(self._id_of)
        except IndexError:
            raise InputError("must have a number for each id", setting="numbers") from None
        return StoredIds(self._stored, id_of, self._file, self._start)

    def _wide(self, stored: Any) -> Tensor:
        ids = stored.astype(np.int64, copy=False) if self._id_of is None else self._id_of.take(stored)
        return torch.as_tensor(ids, device="cpu")


AnyIds: TypeAlias = TextIds | StoredIds
"""A text as token ids, in either form."""


def as_stored(ids: AnyIds) -> StoredIds:
    """The ids as StoredIds; a tensor's are shared."""
    return ids if isinstance(ids, StoredIds) else StoredIds(ids.numpy(force=True))


class MappedFile:
    """A file in the address space, to be read; what was read before does not stay in this process' memory.

    Linux maps as much of a file with the first byte that is touched as its own cache holds together there, which is a
    megabyte often and two at most: a minibatch of sequences from all over a file would bring dozens of them, in several
    times the time that it takes to ask the system for the bytes. So short reads go past the map, and after long ones
    its pages are let go of when they may be many. They stay in the system's cache while there is room.
    """

    _LARGEST_TOUCHED = 2 << 20
    _MOST_RESIDENT = 1 << 28
    _SHORT = 1 << 10

    def __init__(self, file: BinaryIO, size: int) -> None:
        """Maps the first ``size`` bytes, 1 or more, which must be there. The file may then be closed, or removed."""
        self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._resident = 0

    def array(self, dtype: Any) -> Any:
        """The bytes as an array, read-only, (numbers,)."""
        return np.frombuffer(self._map, dtype)

    def has_read(self, places: int, num_bytes: int) -> None:
        """Counts what was read through the array, ``num_bytes`` in so many places, and lets go of it in time."""
        self._resident += places * self._LARGEST_TOUCHED + num_bytes
        if self._resident > self._MOST_RESIDENT and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._resident = 0

    def reads_past_the_map(self, num_bytes: int) -> bool:
        """Whether reads of so many bytes in a place are ``read``'s."""
        return num_bytes < self._SHORT and hasattr(os, "pread")

    def read(self, starts: Any, length: int, dtype: Any) -> Any:
        """So many numbers from each of these places, in bytes, on, (places, length)."""
        size = length * dtype.itemsize
        data = b"".join([os.pread(self._descriptor, size, start) for start in starts.tolist()])
        if len(data) != len(starts) * size:
            raise CorpusError("the encoded text was cut short on the disk while it was read: load the corpus again")
        return np.frombuffer(data, dtype).reshape(len(starts), length)
