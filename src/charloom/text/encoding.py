"""From a text in chunks to ids in as few bytes as they need, in one pass and bounded memory.

Characters are numbered as they first come, from 1. Which id of the vocabulary each number stands for is known at the
end, when all have been counted, and is looked up whenever ids are read (``StoredIds``): nothing is written twice, but
for a text that turns out to have more characters than the bytes so far can tell apart.
"""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from charloom.settings.corpus import Unit
from charloom.text.clean_up import CleanUp
from charloom.text.stored_ids import FileNumbers, Integers, StoredIds
from charloom.text.vocabulary import Vocabulary, code_points

MAX_IN_MEMORY = 32 << 20
"""Bytes of ids: a longer text goes to a file."""
_NUM_CODE_POINTS = 0x110000
_WIDTHS: list[np.dtype[np.integer]] = [np.dtype(np.uint8), np.dtype("<u2"), np.dtype("<u4")]
_COPIED_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class EncodedText:
    """What a text became.

    Attributes:
        bytes_per_id: 1, 2 or 4, little-endian.
        characters: In order of first appearance; empty for bytes.
        counts: How often each comes.
        fingerprint: SHA-256 of the clean text (as UTF-8), hexadecimal.
        crc32: Of the numbers as they are stored, where they are in a file.
    """

    unit: Unit
    num_ids: int
    bytes_per_id: int
    characters: str
    counts: Sequence[int]
    fingerprint: str
    crc32: int

    def vocabulary(self, clean_up: CleanUp) -> Vocabulary:
        """The text's own."""
        if self.unit == "byte":
            return Vocabulary(clean_up=clean_up)
        return Vocabulary.of_counts(dict(zip(self.characters, self.counts, strict=True)), clean_up)

    def ids(self, stored: "Integers | FileNumbers", vocabulary: Vocabulary) -> StoredIds:
        """The ids in a vocabulary that has all the characters."""
        if self.unit == "byte":
            return StoredIds(stored)
        id_of = {token: number for number, token in enumerate(vocabulary.tokens)}
        return StoredIds(stored, np.array([0, *(id_of[character] for character in self.characters)], np.int64))

    def in_file(self, file: BinaryIO) -> FileNumbers:
        """The numbers in the file that they were written to."""
        return FileNumbers(file, f"<u{self.bytes_per_id}", self.num_ids)


class Encoder:
    """Takes a clean text chunk by chunk; ``file``, made when it comes to that, has what is too much for memory."""

    def __init__(self, unit: Unit, make_file: Callable[[], BinaryIO]) -> None:
        self.file: BinaryIO | None = None
        self._unit, self._make_file = unit, make_file
        self._arrays: list[Integers] = []
        self._dtype = _WIDTHS[0]
        self.num_ids = self._crc = 0
        self._hash = hashlib.sha256()
        self._characters: list[str] = []
        # Large, but the system gives memory only to what is written to: the few characters that come.
        self._number_of = np.zeros(_NUM_CODE_POINTS, np.int32)
        self._counts = np.zeros(_NUM_CODE_POINTS + 1, np.int64)

    def take(self, chunk: str | bytes) -> None:
        """One more chunk. Raises OSError where a file cannot be written, UnicodeEncodeError for half characters."""
        if isinstance(chunk, bytes):
            self._hash.update(chunk)
            numbers: Integers = np.frombuffer(chunk, np.uint8)
        else:
            self._hash.update(chunk.encode("utf-8"))
            codes = code_points(chunk)
            numbers = self._number_of.take(codes)
            if not numbers.all():
                self._number_new(codes[numbers == 0])
                numbers = self._number_of.take(codes)
            counts = np.bincount(numbers)
            self._counts[: len(counts)] += counts
        self.num_ids += len(numbers)
        self._arrays.append(numbers.astype(self._dtype, copy=False))
        if self.file is not None or self.num_ids * self._dtype.itemsize > MAX_IN_MEMORY:
            self._write()

    def finish(self) -> EncodedText:
        """What it all became; nothing can be taken after this."""
        if self.file is not None:
            self.file.flush()
        counts = tuple(self._counts[1 : len(self._characters) + 1].tolist())
        size = self._dtype.itemsize
        characters = "".join(self._characters)
        digest = self._hash.hexdigest()
        return EncodedText(self._unit, self.num_ids, size, characters, counts, digest, self._crc)

    def array(self) -> Integers:
        """The numbers, where they stayed in memory."""
        return np.concatenate(self._arrays, dtype=self._dtype) if self._arrays else np.zeros(0, self._dtype)

    def _number_new(self, codes: Integers) -> None:
        """Numbers the characters that come for the first time, in their order."""
        new, first = np.unique(codes, return_index=True)
        new = new[np.argsort(first)]
        start = len(self._characters) + 1
        self._number_of[new] = np.arange(start, start + len(new))
        self._characters += map(chr, new.tolist())
        while start + len(new) - 1 > np.iinfo(self._dtype).max:
            self._widen()

    def _write(self) -> None:
        """What is in memory, to the file."""
        if self.file is None:
            self.file = self._make_file()
        for array in self._arrays:
            data = array.astype(self._dtype, copy=False).tobytes()
            self.file.write(data)
            self._crc = zlib.crc32(data, self._crc)
        self._arrays = []

    def _widen(self) -> None:
        """Goes on with more bytes for each, and gives them to what is in the file, from its end."""
        before, self._dtype = self._dtype, _WIDTHS[_WIDTHS.index(self._dtype) + 1]
        if self.file is None:
            return
        self._crc = 0
        num_written = self.file.tell() // before.itemsize
        for start in reversed(range(0, num_written, _COPIED_AT_ONCE)):
            self.file.seek(start * before.itemsize)
            count = min(_COPIED_AT_ONCE, num_written - start)
            numbers = np.frombuffer(self.file.read(count * before.itemsize), before)
            self.file.seek(start * self._dtype.itemsize)
            self.file.write(numbers.astype(self._dtype).tobytes())
        self.file.seek(0)
        while data := self.file.read(_COPIED_AT_ONCE):
            self._crc = zlib.crc32(data, self._crc)
