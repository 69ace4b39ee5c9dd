"""Encoding of a text in chunks as ids of 1, 2 or 4 bytes, in one pass and bounded memory.

Characters are numbered from 1 in order of first appearance. The vocabulary, sorted by frequency, is known only at the
end, so the numbers are mapped to its ids whenever they are read (``StoredIds``). The numbers are therefore written
once, unless the text turns out to have more distinct characters than the current width can represent.
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
from charloom.text.vocabulary import Vocabulary, get_code_points

MAX_IN_MEMORY = 32 << 20
"""Maximum size of ids in memory, in bytes; longer texts are written to a file."""
# Unicode ends at U+10FFFF.
_NUM_CODE_POINTS = 0x110000
_WIDTHS: list[np.dtype[np.integer]] = [np.dtype(np.uint8), np.dtype("<u2"), np.dtype("<u4")]
_IDS_PER_COPY = 1 << 22


@dataclass(frozen=True)
class EncodedText:
    """Description of an encoded text, without its numbers.

    Attributes:
        unit: Unit of a token, ``"char"`` or ``"byte"``.
        num_ids: Number of ids.
        bytes_per_id: Width of a number, 1, 2 or 4 bytes, little-endian.
        characters: Distinct characters in order of first appearance; empty for bytes.
        counts: Number of occurrences of each character.
        fingerprint: SHA-256 of the normalized text (as UTF-8), hexadecimal.
        crc32: Checksum of the numbers as stored in a file; 0 for numbers in memory.
    """

    unit: Unit
    num_ids: int
    bytes_per_id: int
    characters: str
    counts: Sequence[int]
    fingerprint: str
    crc32: int

    def vocabulary(self, clean_up: CleanUp) -> Vocabulary:
        """Returns the vocabulary of the text's own characters."""
        if self.unit == "byte":
            return Vocabulary(clean_up=clean_up)
        return Vocabulary.of_counts(dict(zip(self.characters, self.counts, strict=True)), clean_up)

    def ids(self, stored: "Integers | FileNumbers", vocabulary: Vocabulary) -> StoredIds:
        """Returns the stored numbers as ids of a vocabulary that contains all characters of the text."""
        if self.unit == "byte":
            return StoredIds(stored)
        # Numbers start at 1: the first entry is never looked up.
        id_of = {token: number for number, token in enumerate(vocabulary.tokens)}
        return StoredIds(stored, np.array([0, *(id_of[character] for character in self.characters)], np.int64))

    def in_file(self, file: BinaryIO) -> FileNumbers:
        """Returns access to the numbers in the file that they were written to."""
        return FileNumbers(file, f"<u{self.bytes_per_id}", self.num_ids)


class Encoder:
    """Encoder of a normalized text, chunk by chunk, in memory or, above ``MAX_IN_MEMORY`` bytes, in ``file``.

    Attributes:
        file: File of the numbers, created when they exceed ``MAX_IN_MEMORY`` bytes; None before.
        num_ids: Number of ids so far.
    """

    def __init__(self, unit: Unit, make_file: Callable[[], BinaryIO]) -> None:
        self.file: BinaryIO | None = None
        self._unit, self._make_file = unit, make_file
        self._arrays: list[Integers] = []
        self._dtype = _WIDTHS[0]
        self.num_ids = self._crc = 0
        self._hash = hashlib.sha256()
        self._characters: list[str] = []
        # Large, but the system provides a page of np.zeros only when it is written to, and few characters occur.
        self._number_of = np.zeros(_NUM_CODE_POINTS, np.int32)
        self._counts = np.zeros(_NUM_CODE_POINTS + 1, np.int64)

    def encode(self, chunk: str | bytes) -> None:
        """Encodes a chunk. Raises OSError if the file cannot be written, UnicodeEncodeError for lone surrogates."""
        if isinstance(chunk, bytes):
            self._hash.update(chunk)
            numbers: Integers = np.frombuffer(chunk, np.uint8)
        else:
            # First, because it raises UnicodeEncodeError: nothing of such a chunk is counted.
            self._hash.update(chunk.encode("utf-8"))
            codes = get_code_points(chunk)
            numbers = self._number_of.take(codes)
            # 0 is the number of characters that are new. After the first chunks there are hardly any.
            if not numbers.all():
                self._number_new(codes[numbers == 0])
                numbers = self._number_of.take(codes)
            counts = np.bincount(numbers)
            self._counts[: len(counts)] += counts
        self.num_ids += len(numbers)
        self._arrays.append(numbers.astype(self._dtype, copy=False))
        # Once there is a file, all later numbers have to follow in it.
        if self.file is not None or self.num_ids * self._dtype.itemsize > MAX_IN_MEMORY:
            self._write()

    def finish(self) -> EncodedText:
        """Returns the description of the encoded text; ``encode`` must not be called after it."""
        if self.file is not None:
            self.file.flush()
        # Numbers start at 1, so entry 0 counts nothing.
        counts = tuple(self._counts[1 : len(self._characters) + 1].tolist())
        size = self._dtype.itemsize
        characters = "".join(self._characters)
        digest = self._hash.hexdigest()
        return EncodedText(self._unit, self.num_ids, size, characters, counts, digest, self._crc)

    def array(self) -> Integers:
        """Returns the numbers of a text that did not need a file."""
        # np.concatenate raises ValueError for an empty list.
        return np.concatenate(self._arrays, dtype=self._dtype) if self._arrays else np.zeros(0, self._dtype)

    def _number_new(self, codes: Integers) -> None:
        """Assigns the next numbers to new characters, in order of first appearance."""
        # np.unique sorts by code point: argsort of the first indices restores the order of the text.
        new, first = np.unique(codes, return_index=True)
        new = new[np.argsort(first)]
        start = len(self._characters) + 1
        self._number_of[new] = np.arange(start, start + len(new))
        self._characters += map(chr, new.tolist())
        while start + len(new) - 1 > np.iinfo(self._dtype).max:
            self._widen()

    def _write(self) -> None:
        """Moves the numbers in memory to the file."""
        if self.file is None:
            self.file = self._make_file()
        for array in self._arrays:
            # An array from before _widen still has the narrower type.
            data = array.astype(self._dtype, copy=False).tobytes()
            self.file.write(data)
            self._crc = zlib.crc32(data, self._crc)
        self._arrays = []

    def _widen(self) -> None:
        """Switches to the next width and converts the numbers already in the file."""
        before, self._dtype = self._dtype, _WIDTHS[_WIDTHS.index(self._dtype) + 1]
        if self.file is None:
            return
        # The checksum is that of the stored bytes, all of which change.
        self._crc = 0
        num_written = self.file.tell() // before.itemsize
        # In place and from the end, so that wider numbers never overwrite narrower ones that are not yet read.
        for start in reversed(range(0, num_written, _IDS_PER_COPY)):
            self.file.seek(start * before.itemsize)
            count = min(_IDS_PER_COPY, num_written - start)
            numbers = np.frombuffer(self.file.read(count * before.itemsize), before)
            self.file.seek(start * self._dtype.itemsize)
            self.file.write(numbers.astype(self._dtype).tobytes())
        self.file.seek(0)
        while data := self.file.read(_IDS_PER_COPY):
            self._crc = zlib.crc32(data, self._crc)
