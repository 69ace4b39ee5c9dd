"""What the mixture predicts from, in plain Python.

The specification of ``contexts.h`` and ``match.h`` in ``kernels/codec``. Hashes and what goes into them are of 32 bits
and wrap around.
"""

from dataclasses import dataclass

import numpy as np

ORDERS, FULL, CONTEXTS = 6, 5, 13
"""Contexts 0 to ORDERS - 1 are the last bytes; the first FULL of them keep probabilities beside the histories."""
MATCHES = 2
MATCH_LENGTHS = (6, 16)
"""Bytes that must agree before a match follows a place."""
MATCH_HASH_BITS = 18
MATCH_LENGTH_CLASSES, MATCH_MISSES = 15, 4
MATCH_MAPS = MATCH_LENGTH_CLASSES * MATCH_MISSES * 2 * 8
MAX_COMPARED = 40

_32_BITS = (1 << 32) - 1
_64_BITS = (1 << 64) - 1
_FIELD_BEGINS = b' [:=/.(,"'


def mixed_hash(a: int, b: int) -> int:
    """Of two numbers of 32 bits, the upper half of a number of 64 bits."""
    x = a * 0x9E3779B1 + b * 0x85EBCA77 + 0x27D4EB2F
    return (x * 0xD6E8FEB86659FD93 & _64_BITS) >> 32


class TextBuffer:
    """Where the bytes of all lanes stand: the text learnt from first, then room for each lane's.

    Attributes:
        text: All bytes; zeros where none was written yet.
        written: Of each lane, where its next byte goes.
    """

    def __init__(self, primed: bytes, capacity: int, lanes: int) -> None:
        self.primed = len(primed)
        self.capacity = capacity
        self.text = memoryview(np.zeros(len(primed) + capacity * lanes, np.uint8).data)
        self.text[: len(primed)] = primed
        self.written = [len(primed) + capacity * lane for lane in range(lanes)]

    def has(self, position: int) -> bool:
        """Whether a byte was written there."""
        if position < self.primed:
            return True
        lane = (position - self.primed) // self.capacity
        return lane < len(self.written) and position < self.written[lane]


@dataclass
class TextState:
    """What a lane remembers of its text.

    Attributes:
        last4: The last four bytes, the latest in the low end.
        before4: The four before them.
        word: A hash of the word so far; 0 between words.
        previous_word: That of the last whole one.
        mark: The last byte that is neither of a word nor a space.
        field_number: Of the field in its line.
        in_field: A hash of what the field has so far, all digits alike.
        line: Where the line begins.
        line_above: Where the one before it begins.
    """

    line: int
    line_above: int
    last4: int = ord("\n")
    before4: int = 0
    word: int = 0
    previous_word: int = 0
    mark: int = 0
    field_number: int = 0
    in_field: int = 0

    def read(self, byte: int, position_after: int) -> None:
        """After a byte."""
        self.before4 = (self.before4 << 8 | self.last4 >> 24) & _32_BITS
        self.last4 = (self.last4 << 8 | byte) & _32_BITS
        lower = byte | 32
        if ord("a") <= lower <= ord("z") or byte >= 128:
            self.word = mixed_hash(self.word, lower)
        else:
            self.previous_word = self.word or self.previous_word
            self.word = 0
            if byte != ord(" "):
                self.mark = byte
        if byte == ord("\n"):
            self.line_above, self.line = self.line, position_after
            self.field_number = self.in_field = 0
        elif byte in _FIELD_BEGINS:
            self.field_number = (self.field_number + 1) & _32_BITS
            self.in_field = byte
        else:
            self.in_field = mixed_hash(self.in_field, ord("0") if ord("0") <= byte <= ord("9") else byte)

    def contexts(self, buffer: TextBuffer, position: int) -> list[int]:
        """A hash of each context."""
        last, last4 = self.last4 & 0xFF, self.last4
        column = position - self.line
        above = buffer.text[self.line_above + column] | 256 if self.line_above + column < self.line else 0
        of = (
            0,
            last,
            last4 & 0xFFFF,
            last4 & 0xFFFFFF,
            last4,
            mixed_hash(last4, self.before4 & 0xFFFF),
            mixed_hash(self.word, last),
            mixed_hash(self.word, self.previous_word),
            mixed_hash(self.word ^ 0x5555, mixed_hash(self.previous_word, self.mark)),
            mixed_hash(self.field_number, self.in_field),
            mixed_hash(above, (last | self.field_number << 8) & _32_BITS),
            mixed_hash((self.field_number * 3 + 1) & _32_BITS, last4 & 0xFFFF),
            mixed_hash(column, last << 8 | 7),
        )
        return [mixed_hash(context, i * 77 + 1) for i, context in enumerate(of)]


@dataclass
class Match:
    """Follows one earlier place, as a lane goes.

    Attributes:
        min_length: Bytes that must agree before a place is followed.
        at: What is expected next; 0 where nothing is.
        length: Bytes that agreed.
        misses: How often it was wrong lately.
    """

    min_length: int
    at: int = 0
    length: int = 0
    misses: int = 0

    def read(self, buffer: TextBuffer, position: int, begin: int, places: dict[int, int]) -> None:
        """After a byte: goes on, or looks for a new place.

        begin: where what may be compared begins. places: by a hash of the bytes before it, the last place.
        """
        text = buffer.text
        if self.at and buffer.has(self.at):
            if text[self.at] == text[position - 1]:
                self.length = min(self.length + 1, 65535)
                self.at += 1
            else:
                self.length = 0
                self.misses += 1
                self.at = 0 if self.misses >= 8 else self.at + 1
        else:
            self.at = 0
        if self.length > 20 and self.misses:
            self.misses -= 1
        if position - begin < self.min_length:
            return
        key = 0
        for byte in text[position - self.min_length : position][::-1]:
            key = (key + byte + 1) * 0x2F0B4C47 & _32_BITS
        key >>= 32 - MATCH_HASH_BITS
        place = places.get(key, 0)
        if self.length < self.min_length and place and buffer.has(place - 1):
            n = 0
            most = min(MAX_COMPARED, place, position - begin)
            while n < most and text[place - 1 - n] == text[position - 1 - n]:
                n += 1
            if n >= self.min_length and n > self.length:
                self.at, self.length, self.misses = place, n, 0
        places[key] = position

    def expected(self, buffer: TextBuffer) -> int:
        """The byte expected, | 256; 0 where there is none."""
        return buffer.text[self.at] | 256 if self.at and buffer.has(self.at) else 0

    def length_class(self) -> int:
        """0 to 14."""
        if self.length < 4:
            return int(self.length > 0)
        return self.length // 2 if self.length < 16 else 4 + self.length // 4 if self.length < 40 else 14

    def map(self, expected_bit: int, bit: int) -> int:
        """Which of MATCH_MAPS probabilities tells what came of such an expectation."""
        misses = min(self.misses, MATCH_MISSES - 1)
        return ((self.length_class() * MATCH_MISSES + misses) * 2 + expected_bit) * 8 + bit
