"""Bytes through the network's voices or the mixture, and sessions over them, in plain Python.

The specification of ``fast.h``, ``mixing.h`` and ``sessions.h`` in ``kernels/codec``.
"""

from collections.abc import Callable
from typing import Protocol

from charloom.codec.integer_model import IntegerModel
from charloom.codec.priming import Priming
from charloom.codec.range_coder import Decoder, Encoder
from charloom.codec.reference_contexts import History
from charloom.codec.reference_memory import Memory
from charloom.codec.reference_mixture import Lane, Mixture
from charloom.codec.reference_voice import Voices

_RECORD_END = ord("\n")
_IS_END = 65_472
"""The probability, of 16 bits, that a line feed ends its record."""


class Lanes(Protocol):
    """What an engine does with one byte of a lane; lanes take turns."""

    def encode(self, lane: int, byte: int, encoder: Encoder) -> None:
        """Codes a byte."""

    def decode(self, lane: int, decoder: Decoder) -> int:
        """The inverse."""


class FastLanes:
    """Coding by the network alone, each lane a text that begins."""

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        self._voices = Voices(model, lanes)
        self._voices.begin()

    def encode(self, lane: int, byte: int, encoder: Encoder) -> None:
        """Codes a byte."""
        voice = self._voices[lane]
        voice.begin_byte()
        escape, total = voice.escape(), voice.total()
        start, size = voice.part_of(byte)
        if size:
            encoder.encode(start, size, total)
        else:  # a byte that the network has no token for
            encoder.encode(escape, total - escape, total)
            encoder.encode(byte, 1, 256)
        self._end_byte(lane, byte)

    def decode(self, lane: int, decoder: Decoder) -> int:
        """The inverse."""
        voice = self._voices[lane]
        voice.begin_byte()
        escape, total = voice.escape(), voice.total()
        number = decoder.find(total)
        if number < escape:
            byte = voice.byte_at(number)
            decoder.skip(*voice.part_of(byte), total)
        else:
            decoder.skip(escape, total - escape, total)
            byte = decoder.find(256)
            decoder.skip(byte, 1, 256)
        self._end_byte(lane, byte)
        return byte

    def _end_byte(self, lane: int, byte: int) -> None:
        for i in range(7, -1, -1):
            self._voices[lane].read(byte >> i & 1)
        self._voices.end_byte(lane)


class MixingLanes:
    """Coding by the mixture, which all lanes share.

    Attributes:
        memory: What it has learnt. It is the lanes' own.
        history: What it has read.
    """

    def __init__(self, model: IntegerModel, memory: Memory, primed: bytes, capacity: int, lanes: int) -> None:
        """primed: what the memory has read. capacity: bytes that each lane has room for."""
        self.memory = memory
        self.history = History(primed, capacity, lanes)
        self._mixture = Mixture(memory, self.history)
        self._voices = Voices(model, lanes)
        self._lanes = [Lane(begin) for begin in self.history.written]

    def begin_silent(self) -> None:
        """Each lane begins a text, after what it has read before."""
        self._lanes = [Lane(lane.position) for lane in self._lanes]

    def begin_voices(self) -> None:
        """The network speaks from here on, as of texts that begin."""
        self._voices.begin()

    def encode(self, lane: int, byte: int, encoder: Encoder) -> None:
        """Codes a byte."""

        def coded(i: int, p: int) -> int:
            bit = byte >> i & 1
            encoder.encode_bit(bit, p)
            return bit

        self._code(lane, coded)

    def decode(self, lane: int, decoder: Decoder) -> int:
        """The inverse."""
        return self._code(lane, lambda _, p: decoder.decode_bit(p))

    def read(self, lane: int, byte: int) -> None:
        """Reads a byte without coding it."""
        self._code(lane, lambda i, _: byte >> i & 1)

    def _code(self, number: int, of_bit: Callable[[int, int], int]) -> int:
        """of_bit(i, p): bit number i of the byte, which is 1 with probability p."""
        lane, voice = self._lanes[number], self._voices[number]
        if lane.position - self.history.primed >= (number + 1) * self.history.capacity:
            raise ValueError("more than a lane has room for")
        self._mixture.begin_byte(lane, voice)
        for i in range(7, -1, -1):
            p = self._mixture.predict(lane, voice)
            self._mixture.learn(lane, voice, of_bit(i, p))
        byte = self._mixture.end_byte(lane)
        self.history.written[number] = lane.position
        self._voices.end_byte(number)
        return byte


def prime(model: IntegerModel, memory: Memory, priming: Priming, *, records: bool) -> None:
    """Reads a text: its silent bytes without the network, the rest with it. records: each line as a text of its own."""
    text, silent = priming.text, priming.silent
    lanes = MixingLanes(model, memory, b"", len(text), 1)
    for i, byte in enumerate(text):
        begins = i == 0 or (records and text[i - 1] == _RECORD_END)
        if begins:
            lanes.begin_silent()
        if (begins and i >= silent) if records else i == silent:
            lanes.begin_voices()
        lanes.read(0, byte)


class ReferenceSession:
    """One segment: an ``engine.Session``."""

    def __init__(self, lanes: Lanes, count: int) -> None:
        self._lanes = lanes
        self._count = count
        self._next = 0

    def encode(self, data: bytes) -> bytes:
        """The payload of the next block."""
        encoder = Encoder()
        for byte in data:
            self._lanes.encode(self._turn(), byte, encoder)
        return encoder.finish()

    def decode(self, payload: bytes, length: int) -> bytes:
        """The block. Raises ValueError where the payload cannot be right."""
        decoder = Decoder(payload)
        data = bytes(self._lanes.decode(self._turn(), decoder) for _ in range(length))
        decoder.finish()
        return data

    def _turn(self) -> int:
        lane = self._next
        self._next = (lane + 1) % self._count
        return lane


class ReferenceRecordSession:
    """Records: an ``engine.RecordSession``. ``begin``: one lane, in the state that every record begins with.

    A record is coded with a line feed at its end; after each line feed a bit tells whether it is that end.
    """

    def __init__(self, begin: Callable[[], Lanes]) -> None:
        self._begin = begin

    def encode(self, record: bytes) -> bytes:
        """The payload of one record."""
        lanes, encoder = self._begin(), Encoder()
        for i, byte in enumerate([*record, _RECORD_END]):
            lanes.encode(0, byte, encoder)
            if byte == _RECORD_END:
                encoder.encode_bit(int(i == len(record)), _IS_END)
        return encoder.finish()

    def decode(self, payload: bytes, limit: int) -> bytes:
        """The record. ValueError where the payload cannot be right, or gives more than ``limit`` bytes."""
        lanes, decoder = self._begin(), Decoder(payload)
        record = bytearray()
        while (byte := lanes.decode(0, decoder)) != _RECORD_END or not decoder.decode_bit(_IS_END):
            if len(record) >= limit:
                raise ValueError("longer than records may be")
            record.append(byte)
        decoder.finish()
        return bytes(record)
