"""Contexts and match models that context mixing predicts from.

The reference implementation of ``contexts.h`` and ``match.h`` in ``codec/kernels/mixing``. Hashes and their arguments
have 32 bits and wrap around.
"""

from dataclasses import dataclass

import numpy as np

from charloom_codec.reference.byte_trees import DEPTHS

ORDERS, FULL, CONTEXTS = 6, 5, 13
"""Numbers of orders (the last bytes), of contexts with full slots (probabilities beside bit histories), of contexts."""
MATCHES = 2
MATCH_LENGTHS = (6, 16)
"""Bytes that must agree before each match model follows a position."""
MATCH_HASH_BITS = 18
MATCH_LENGTH_CLASSES, MATCH_MISSES = 15, 4
MATCH_MAPS = MATCH_LENGTH_CLASSES * MATCH_MISSES * 2 * DEPTHS
MAX_COMPARED = 40
"""Bytes that are compared at most: all longer matches are of the same class."""
_32_BITS = (1 << 32) - 1
_64_BITS = (1 << 64) - 1
_FIELD_STARTS = b' [:=/.(,"'


def hash_pair(a: int, b: int) -> int:
    """Returns a hash of two numbers of 32 bits."""
    # The upper half of a product, because its bits depend on the lower bits of both arguments too.
    x = a * 0x9E3779B1 + b * 0x85EBCA77 + 0x27D4EB2F
    return (x * 0xD6E8FEB86659FD93 & _64_BITS) >> 32


class TextBuffer:
    """Bytes of all lanes: first the priming text, then the text of each lane.

    A lane may match the text of another lane, but only what that lane has read so far.

    Attributes:
        primed: Number of bytes of the priming text.
        capacity: Number of bytes reserved for each lane.
        text: All bytes; zeros for those not yet written.
        written: Position of the next byte of each lane.
    """

    def __init__(self, primed: bytes, capacity: int, lanes: int) -> None:
        self.primed = len(primed)
        self.capacity = capacity
        # A memoryview gives single bytes as ints, and faster than an array does.
        self.text = memoryview(np.zeros(len(primed) + capacity * lanes, np.uint8).data)
        self.text[: len(primed)] = primed
        self.written = [len(primed) + capacity * lane for lane in range(lanes)]

    def has(self, position: int) -> bool:
        """Returns whether a byte was written at a position."""
        if position < self.primed:
            return True  # the priming text is complete
        lane = (position - self.primed) // self.capacity
        return lane < len(self.written) and position < self.written[lane]


@dataclass
class TextState:
    """State of a lane's text, updated byte by byte.

    Attributes:
        line: Position at which the current line starts.
        line_above: Position at which the previous line starts.
        last4: The last four bytes, the latest lowest.
        before4: The four bytes before them.
        word: Hash of the current word; 0 between words.
        previous_word: Hash of the last complete word.
        mark: The last byte that is neither a letter nor a space.
        field: Index of the current field in its line.
        in_field: Hash of the bytes of the current field.
    """

    line: int
    line_above: int
    last4: int = ord("\n")
    before4: int = 0
    word: int = 0
    previous_word: int = 0
    mark: int = 0
    field: int = 0
    in_field: int = 0

    def update(self, byte: int, position_after: int) -> None:
        """Updates the state with a byte.

        Args:
            byte: Byte of the text.
            position_after: Position of the byte after it.
        """
        self.before4 = (self.before4 << 8 | self.last4 >> 24) & _32_BITS
        self.last4 = (self.last4 << 8 | byte) & _32_BITS
        lower = byte | 32
        # All bytes from 128 count as letters: they are parts of UTF-8 characters.
        if ord("a") <= lower <= ord("z") or byte >= 128:
            self.word = hash_pair(self.word, lower)
        else:
            self.previous_word = self.word or self.previous_word
            self.word = 0
            if byte != ord(" "):
                self.mark = byte
        if byte == ord("\n"):
            self.line_above, self.line = self.line, position_after
            self.field = self.in_field = 0
        elif byte in _FIELD_STARTS:
            self.field = (self.field + 1) & _32_BITS
            self.in_field = byte
        else:
            # All digits are equal: numbers vary, their shape does not.
            self.in_field = hash_pair(self.in_field, ord("0") if ord("0") <= byte <= ord("9") else byte)

    def contexts(self, buffer: TextBuffer, position: int, tree: int) -> list[int]:
        """Returns a hash of each context.

        Args:
            buffer: Bytes of all lanes.
            position: Position of the next byte.
            tree: Number of the tree of the next byte. Contexts that do not determine it include it, because what they
                have seen depends on it.
        """
        last, last4 = self.last4 & 0xFF, self.last4
        column = position - self.line
        above = buffer.text[self.line_above + column] | 256 if self.line_above + column < self.line else 0
        values = (
            tree,
            last,
            last4 & 0xFFFF,
            last4 & 0xFFFFFF,
            last4,
            hash_pair(last4, self.before4 & 0xFFFF),
            hash_pair(self.word, last),
            (hash_pair(self.word, self.previous_word) + tree) & _32_BITS,
            (hash_pair(self.word ^ 0x5555, hash_pair(self.previous_word, self.mark)) + tree) & _32_BITS,
            (hash_pair(self.field, self.in_field) + tree) & _32_BITS,
            hash_pair(above, (last | self.field << 8) & _32_BITS),
            hash_pair((self.field * 3 + 1) & _32_BITS, last4 & 0xFFFF),
            hash_pair(column, last << 8 | 7),
        )
        # The index keeps equal values of different contexts apart, which share the hash tables.
        return [hash_pair(context, i * 77 + 1) for i, context in enumerate(values)]


@dataclass
class Match:
    """Match model of a lane: predicts the byte that followed the last occurrence of the current context.

    Attributes:
        min_length: Bytes that must agree before a match is followed.
        pointer: Position of the predicted byte; 0 without a match.
        length: Number of bytes that agreed.
        misses: Number of recent wrong predictions.
    """

    min_length: int
    pointer: int = 0
    length: int = 0
    misses: int = 0

    def update(self, buffer: TextBuffer, position: int, start: int, table: dict[int, int]) -> None:
        """Updates the match after a byte: continues it, or looks for a new one.

        Args:
            buffer: Bytes of all lanes.
            position: Position after the byte.
            start: Position from which bytes may be compared.
            table: The last position for each hash of ``min_length`` bytes.
        """
        text = buffer.text
        if self.pointer and buffer.has(self.pointer):
            if text[self.pointer] == text[position - 1]:
                self.length = min(self.length + 1, 65535)
                self.pointer += 1
            else:
                # A single difference does not end the match: text often continues after it. Eight recent ones do.
                self.length = 0
                self.misses += 1
                self.pointer = 0 if self.misses >= 8 else self.pointer + 1
        else:
            self.pointer = 0
        # A long agreement makes up for earlier differences.
        if self.length > 20 and self.misses:
            self.misses -= 1
        if position - start < self.min_length:
            return
        # The same polynomial hash as in match.h: the multiplier is odd and spreads the bits upwards.
        key = 0
        for byte in text[position - self.min_length : position][::-1]:
            key = (key + byte + 1) * 0x2F0B4C47 & _32_BITS
        key >>= 32 - MATCH_HASH_BITS
        entry = table.get(key, 0)
        if self.length < self.min_length and entry and buffer.has(entry - 1):
            # Equal hashes do not imply equal bytes.
            n = 0
            max_length = min(MAX_COMPARED, entry, position - start)
            while n < max_length and text[entry - 1 - n] == text[position - 1 - n]:
                n += 1
            if n >= self.min_length and n > self.length:
                self.pointer, self.length, self.misses = entry, n, 0
        table[key] = position

    def expected(self, buffer: TextBuffer) -> int:
        """Returns the predicted byte | 256, or 0 without a match."""
        return buffer.text[self.pointer] | 256 if self.pointer and buffer.has(self.pointer) else 0

    def length_class(self) -> int:
        """Returns a class of the length, 0 to 14."""
        # Fine for short matches, coarse for long ones: the probability changes most at the start.
        if self.length < 4:
            return int(self.length > 0)
        return self.length // 2 if self.length < 16 else 4 + self.length // 4 if self.length < 40 else 14

    def map(self, expected_bit: int, depth: int) -> int:
        """Returns the index of the StateMap, of MATCH_MAPS, that learns how often such predictions were right."""
        misses = min(self.misses, MATCH_MISSES - 1)
        return ((self.length_class() * MATCH_MISSES + misses) * 2 + expected_bit) * DEPTHS + depth
