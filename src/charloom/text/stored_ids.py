"""Token ids stored in 1, 2, 4 or 8 bytes each, in memory or in a file, and read as int64.

A text of four billion characters from an alphabet of up to 255 is a file of four gigabytes; a minibatch reads a few
kilobytes of it.
"""

import os
import weakref
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NoReturn, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charloom.errors import CorpusError, InputError
from charloom.settings.limits import check_count
from charloom.shapes import Ids, TextIds
from charloom_codec.arguments import check_type
from charloom_codec.io.positional_reads import read_at

Integers: TypeAlias = NDArray[np.integer]
_IDS_PER_READ = 1 << 20
_MAX_READ_BYTES = 1 << 30
"""Maximum number of bytes per system call; no system reads 2 GiB or more in one call."""


class StoredIds:
    """The token ids of a text, in a narrow integer type in memory or in a file.

    Indexing reads ids: ``ids[:70]`` is a new int64 tensor, (70,); ``ids[:]`` reads all ids and takes 8 bytes per id.
    ``part`` returns a view and reads nothing.
    """

    def __init__(
        self, stored: "Integers | FileNumbers", id_of: NDArray[np.int64] | None = None, *, part: slice = slice(None)
    ) -> None:
        """Creates a view of stored integers.

        Args:
            stored: Array of integers, (number of tokens,), or numbers in a file.
            id_of: Id of each stored number, int64 of shape (max. number + 1,); None if the numbers are the ids.
            part: Slice of the stored numbers, with step 1. Default: all.

        Raises InputError if ``stored`` is not a 1-D array of integers that fit into int64.
        """
        in_file = isinstance(stored, FileNumbers)
        integers = in_file or (isinstance(stored, np.ndarray) and stored.ndim == 1 and stored.dtype.kind in "iu")
        # uint64 is rejected: values of 2**63 and above would become negative ids.
        if not integers or not np.can_cast(stored.dtype, np.int64):
            raise InputError("it must be a 1-D array of integers", setting="stored", value=stored)
        self._stored, self._id_of = stored, id_of
        # A range checks indices and resolves slices as a list does, negative ones included.
        self._places = range(len(stored))[part]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def shape(self) -> tuple[int]:
        """Shape of the equivalent tensor, (number of tokens,)."""
        return (len(self),)

    @property
    def bytes_per_id(self) -> int:
        """Size of a stored id in bytes."""
        size: int = self._stored.dtype.itemsize
        return size

    def __getitem__(self, place: int | slice) -> Tensor:
        """Returns the id at an index, or the ids of a slice with any step, as a new int64 tensor on the CPU.

        Raises IndexError for an index out of range, and CorpusError if the file of the ids was truncated.
        """
        if not isinstance(place, slice):
            at = self._places[place]
            return self._to_int64(self._stored[at : at + 1][0])
        places = self._places[place]
        # The stored numbers are read forward; a step, which may be negative, is applied to the result. The copy keeps
        # the tensor from sharing memory with the text.
        first, last = sorted((places[0], places[-1])) if places else (0, -1)
        return self._to_int64(self._stored[first : last + 1][:: places.step].copy())

    def __iter__(self) -> Iterator[int]:
        """Yields the ids in order, as int, reading a block at a time."""
        for start in range(0, len(self), _IDS_PER_READ):
            yield from self[start : start + _IDS_PER_READ].tolist()

    def __repr__(self) -> str:
        return f"StoredIds({len(self)} ids of {self.bytes_per_id} bytes)"

    def tolist(self) -> list[int]:
        """Returns the ids as a list of int."""
        return list(self)

    def part(self, start: int, stop: int | None = None) -> "StoredIds":
        """Returns a view of the ids from ``start`` up to, not including, ``stop``, both 0 or more.

        Raises SettingsError if one is negative.
        """
        check_count("start", start)
        if stop is not None:
            check_count("stop", stop)
        places = self._places[start:stop]
        return StoredIds(self._stored, self._id_of, part=slice(places.start, places.stop))

    def sequences(self, starts: NDArray[np.int64], length: int) -> Ids:
        """Returns the sequences at ``starts``, a 1-D int64 array, as int64 ids of shape (len(starts), length).

        Raises SettingsError if ``length`` is negative, InputError if a sequence is not within the text, and CorpusError
        if the file of the ids was truncated.
        """
        check_count("length", length)
        listed = isinstance(starts, np.ndarray) and starts.ndim == 1 and starts.dtype == np.int64
        if not listed or (len(starts) and not 0 <= starts.min() <= starts.max() <= len(self) - length):
            raise InputError(f"must be an int64 array of numbers from 0 to {len(self) - length}", setting="starts")
        places = starts + self._places.start
        if isinstance(self._stored, FileNumbers):
            return self._to_int64(self._stored.sequences(places, length))
        return self._to_int64(self._stored[places[:, None] + np.arange(length)])

    def with_new_ids(self, new_ids: Sequence[int]) -> "StoredIds":
        """Returns a view in which each id ``i`` reads as ``new_ids[i]``.

        Raises SettingsError if a new id is negative, and InputError if an id has no entry in ``new_ids``: here if the
        view has a table of ids, else when the id is read.
        """
        check_type(Sequence, new_ids=new_ids)
        for number in new_ids:
            check_count("new_ids", number)
        new = np.array(new_ids, np.int64)
        # Both tables are composed into one, so that reading takes a single look-up. Without a table, a check here would
        # read the whole text, which may be gigabytes in a file.
        id_of = new if self._id_of is None else _look_up(new, self._id_of)
        return StoredIds(self._stored, id_of, part=slice(self._places.start, self._places.stop))

    def _to_int64(self, stored: Integers) -> Tensor:
        ids = stored.astype(np.int64, copy=False) if self._id_of is None else _look_up(self._id_of, stored)
        # The device is explicit because torch.set_default_device would otherwise apply.
        return torch.as_tensor(ids, device="cpu")


def _look_up(id_of: NDArray[np.int64], numbers: Integers) -> NDArray[np.int64]:
    """Returns the id of each number. Raises InputError if a number is not an index of the table."""
    try:
        # NumPy would take a negative number from the end of the table. Unsigned ones need no pass over them.
        if numbers.dtype.kind == "i" and (numbers < 0).any():
            raise IndexError
        ids: NDArray[np.int64] = id_of.take(numbers)
    except IndexError:
        raise InputError(
            f"the ids contain {_find_outside(numbers, len(id_of))}, but the table that maps them has entries only for "
            f"0 to {len(id_of) - 1}"
        ) from None
    return ids


def _find_outside(numbers: Integers, length: int) -> int:
    """Returns the first number that is not an index of a table."""
    return int(numbers[(numbers < 0) | (numbers >= length)][0])


AnyIds: TypeAlias = TextIds | StoredIds
"""Token ids of a text, as a tensor or stored."""


def as_stored(ids: AnyIds) -> StoredIds:
    """Returns the ids as StoredIds, which share the memory of a tensor on the CPU; one on a GPU is copied."""
    return ids if isinstance(ids, StoredIds) else StoredIds(ids.numpy(force=True))


class FileNumbers:
    """Numbers in a file, read on demand with system calls.

    They take no memory, and a truncated file raises an error. A memory map would load megabytes around each sequence
    that is read, and would kill the process if the file were truncated.
    """

    def __init__(self, file: BinaryIO, dtype: str | np.dtype[np.integer], length: int) -> None:
        """Opens the first ``length`` numbers of the file, which the caller may then close or remove.

        The numbers have the given dtype and follow each other from the start of the file.
        """
        self.dtype, self._length = np.dtype(dtype), length
        # The duplicate stays valid after the file is closed or removed.
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> NoReturn:
        """Raises TypeError: the descriptor of a copy, or of another process, could belong to another file."""
        raise TypeError(
            "ids in a file cannot be copied or sent to another process: load the corpus again, in that process"
        )

    def __getitem__(self, part: slice) -> Integers:
        """Returns the numbers of a slice as a read-only array.

        Unlike a list's, the slice must have a start and a stop, both from 0 to the length; a step is ignored. Raises
        CorpusError if the file was truncated.
        """
        numbers: Integers = self.sequences(np.array([part.start]), part.stop - part.start)[0]
        return numbers

    def sequences(self, starts: NDArray[np.int64], length: int) -> Integers:
        """Returns the sequences at ``starts``, a 1-D int64 array, as a read-only array of shape (len(starts), length).

        Raises CorpusError if the file was truncated.
        """
        size = length * self.dtype.itemsize
        chunks = [(at, min(_MAX_READ_BYTES, size - at)) for at in range(0, size, _MAX_READ_BYTES)]
        starts = (starts * self.dtype.itemsize).tolist()
        data = b"".join([read_at(self._descriptor, count, start + at) for start in starts for at, count in chunks])
        if len(data) != len(starts) * size:
            raise CorpusError("the file of token ids was truncated while it was being read: load the corpus again")
        return np.frombuffer(data, self.dtype).reshape(len(starts), length)
