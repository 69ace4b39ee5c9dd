"""The engine in plain Python: bytes through the network or the mixture, and sessions over them.

The specification of ``coders.h`` and ``sessions.h`` in ``kernels/codec``, and what codes if there is no native code:
the same bytes, a hundred times slower and more.
"""

import itertools
import pickle
import threading
from collections.abc import Callable

from charloom.codec.engines import engine
from charloom.codec.engines.engine import Engine, RecordSession, Session, lane_capacity
from charloom.codec.model.integer_model import IntegerModel
from charloom.codec.model.priming import Priming
from charloom.codec.reference.context_mixing import Lane, Mixture
from charloom.codec.reference.contexts import TextBuffer
from charloom.codec.reference.memory import Memory
from charloom.codec.reference.network_prediction import NetworkLanes
from charloom.codec.reference.range_coder import Decoder, Encoder

_RECORD_END = ord("\n")
_IS_END = 65_472
"""The probability, of 16 bits, that a line feed ends its record."""


class FastLanes:
    """Coding by the network alone, each lane a text that begins."""

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        self._networks = NetworkLanes(model, lanes)
        self._networks.begin()

    def code(self, lane: int, coder: Encoder | Decoder, byte: int | None = None) -> int:
        """Codes a byte; a decoder gives it."""
        network = self._networks[lane]
        network.start_byte()
        escape, total = network.escape(), network.total()
        if isinstance(coder, Decoder) and (number := coder.find(total)) < escape:
            byte = network.byte_at(number)
        start, size = (0, 0) if byte is None else network.part_of(byte)
        if size:
            coder.take(start, size, total)
        else:  # a byte that the network has no token for
            coder.take(escape, total - escape, total)
            byte = coder.find(256) if isinstance(coder, Decoder) else byte
            assert byte is not None
            coder.take(byte, 1, 256)
        assert byte is not None
        for i in range(7, -1, -1):
            network.read(byte >> i & 1)
        self._networks.end_byte(lane)
        return byte


class MixingLanes:
    """Coding by the mixture, which all lanes share.

    Attributes:
        memory: What it has learnt. It is the lanes' own.
        buffer: What it has read.
    """

    def __init__(self, model: IntegerModel, memory: Memory, primed: bytes, capacity: int, lanes: int) -> None:
        """primed: what the memory has read. capacity: bytes that each lane has room for."""
        self.memory = memory
        self.buffer = TextBuffer(primed, capacity, lanes)
        self._mixture = Mixture(memory, self.buffer)
        self._networks = NetworkLanes(model, lanes)
        self._lanes = [Lane(begin) for begin in self.buffer.written]

    def start_texts(self) -> None:
        """Each lane begins a text, after what it has read before."""
        self._lanes = [Lane(lane.position) for lane in self._lanes]

    def start_network(self) -> None:
        """The network predicts from here on, as of texts that begin."""
        self._networks.begin()

    def code(self, lane: int, coder: Encoder | Decoder, byte: int | None = None) -> int:
        """Codes a byte; a decoder gives it."""
        return self._code(lane, lambda i, p: coder.code_bit(None if byte is None else byte >> i & 1, p))

    def read(self, lane: int, byte: int) -> None:
        """Reads a byte without coding it."""
        self._code(lane, lambda i, _: byte >> i & 1)

    def _code(self, number: int, of_bit: Callable[[int, int], int]) -> int:
        """of_bit(i, p): bit number i of the byte, which is 1 with probability p."""
        lane, network = self._lanes[number], self._networks[number]
        if lane.position - self.buffer.primed >= (number + 1) * self.buffer.capacity:
            raise ValueError("more than a lane has room for")
        self._mixture.start_byte(lane, network)
        for i in range(7, -1, -1):
            p = self._mixture.predict(lane, network)
            self._mixture.learn(lane, network, of_bit(i, p))
        byte = self._mixture.end_byte(lane)
        self.buffer.written[number] = lane.position
        self._networks.end_byte(number)
        return byte


def prime(model: IntegerModel, memory: Memory, priming: Priming, *, records: bool) -> None:
    """Reads a text: its silent bytes without the network, the rest with it. records: each line as a text of its own."""
    text, silent = priming.text, priming.silent
    lanes = MixingLanes(model, memory, b"", len(text), 1)
    for i, byte in enumerate(text):
        begins = i == 0 or (records and text[i - 1] == _RECORD_END)
        if begins:
            lanes.start_texts()
        if (begins and i >= silent) if records else i == silent:
            lanes.start_network()
        lanes.read(0, byte)


class ReferenceSession:
    """One segment: an ``engines.engine.Session``."""

    def __init__(self, lanes: FastLanes | MixingLanes, count: int) -> None:
        self._lanes = lanes
        self._turns = itertools.cycle(range(count))

    def encode(self, data: bytes) -> bytes:
        """The payload of the next block."""
        encoder = Encoder()
        for byte in data:
            self._lanes.code(next(self._turns), encoder, byte)
        return encoder.finish()

    def decode(self, payload: bytes, length: int) -> bytes:
        """The block. Raises ValueError where the payload cannot be right."""
        decoder = Decoder(payload)
        data = bytes(self._lanes.code(next(self._turns), decoder) for _ in range(length))
        decoder.finish()
        return data


class ReferenceRecordSession:
    """Records: an ``engines.engine.RecordSession``. ``begin``: one lane, in the state that every record begins with.

    A record is coded with a line feed at its end; after each line feed a bit tells whether it is that end.
    """

    def __init__(self, begin: Callable[[], FastLanes | MixingLanes]) -> None:
        self._begin = begin

    def encode(self, record: bytes) -> bytes:
        """The payload of one record."""
        lanes, encoder = self._begin(), Encoder()
        for i, byte in enumerate([*record, _RECORD_END]):
            lanes.code(0, encoder, byte)
            if byte == _RECORD_END:
                encoder.code_bit(int(i == len(record)), _IS_END)
        return encoder.finish()

    def decode(self, payload: bytes, limit: int) -> bytes:
        """The record. ValueError where the payload cannot be right, or gives more than ``limit`` bytes."""
        lanes, decoder = self._begin(), Decoder(payload)
        record = bytearray()
        while (byte := lanes.code(0, decoder)) != _RECORD_END or not decoder.code_bit(None, _IS_END):
            if len(record) >= limit:
                raise ValueError("longer than records may be")
            record.append(byte)
        decoder.finish()
        return bytes(record)


class ReferenceEngine(Engine):
    """Codes by the network alone, or, with a priming, by mixing it with context models."""

    def __init__(self, model: IntegerModel, priming: Priming | None) -> None:
        super().__init__(model, priming)
        self._model = model
        self._priming = priming
        self._primed: dict[bool, bytes] = {}
        self._lock = threading.Lock()

    def begin(self, lanes: int) -> Session:
        """A session; a mixing one has read the priming."""
        return ReferenceSession(self._lanes(lanes, lane_capacity(lanes), records=False), lanes)

    def records(self) -> RecordSession:
        """A session for records; a mixing one has read the priming line by line."""
        return ReferenceRecordSession(lambda: self._lanes(1, engine.RECORD_CAPACITY, records=True))

    def _lanes(self, count: int, capacity: int, *, records: bool) -> FastLanes | MixingLanes:
        if self._priming is None:
            return FastLanes(self._model, count)
        lanes = MixingLanes(
            self._model, self._primed_memory(self._priming, records), self._priming.text, capacity, count
        )
        lanes.start_network()
        return lanes

    def _primed_memory(self, priming: Priming, records: bool) -> Memory:
        """A copy of its own: pickled memories are copied fastest."""
        with self._lock:
            if records not in self._primed:
                memory = Memory(engine.FULL_BITS, engine.LIGHT_BITS)
                prime(self._model, memory, priming, records=records)
                self._primed[records] = pickle.dumps(memory)
        memory = pickle.loads(self._primed[records])
        assert isinstance(memory, Memory)
        return memory
