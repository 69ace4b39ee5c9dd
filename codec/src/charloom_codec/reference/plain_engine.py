"""Engine in plain Python: coding by the network alone or by context mixing, and its sessions.

The reference implementation of ``coders.h`` and ``sessions.h`` in ``codec/kernels/coding``, and the fallback without
native code, with the same bytes but at least a hundred times slower.
"""

import itertools
import pickle
import threading
from collections.abc import Callable, Iterable

from charloom_codec.engines import engine
from charloom_codec.engines.engine import Engine, RecordSession, Session, compute_lane_capacity
from charloom_codec.model.corrector import Corrector
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.byte_trees import ByteTrees, Node
from charloom_codec.reference.context_mixing import ContextMixing, Lane
from charloom_codec.reference.contexts import TextBuffer
from charloom_codec.reference.memory import Memory
from charloom_codec.reference.network_prediction import NetworkLanes
from charloom_codec.reference.range_coder import CostMeter, Decoder, Encoder, pack_costs
from charloom_codec.reference.rules import MIXING_RULES, MixingRules

_RECORD_END = ord("\n")
_P_END = 65_472
"""Probability that a line feed ends its record, of 16 bits."""


class FastLanes:
    """Coder of bytes by the network alone. Each lane is a separate text."""

    def __init__(self, model: IntegerModel, lanes: int) -> None:
        self._networks = NetworkLanes(model, lanes)
        self._networks.start()

    def code(self, lane: int, coder: Encoder | CostMeter | Decoder, byte: int | None = None) -> int:
        """Codes the next byte of a lane, or decodes it if ``coder`` is a decoder, and returns it."""
        network = self._networks[lane]
        network.start_byte()
        # Whole bytes rather than bits: one interval for each byte is faster, and this engine has no other predictor.
        escape, total = network.escape(), network.total()
        if isinstance(coder, CostMeter):
            coder.expected_bits += network.compute_entropy()
        if isinstance(coder, Decoder) and (number := coder.decode_target(total)) < escape:
            byte = network.byte_at(number)
        start, size = (0, 0) if byte is None else network.interval_of(byte)
        if size:
            coder.code_interval(start, size, total)
        else:  # escape: no token continues with this byte
            coder.code_interval(escape, total - escape, total)
            byte = coder.decode_target(256) if isinstance(coder, Decoder) else byte
            assert byte is not None
            coder.code_interval(byte, 1, 256)
        assert byte is not None
        self._networks.end_byte(lane, byte)
        return byte


class MixingLanes:
    """Coder of bytes by context mixing. All lanes update one memory, and each may match the text of the others.

    Attributes:
        memory: Learned state, used by these lanes only.
        buffer: Bytes read by all lanes.
    """

    def __init__(
        self,
        model: IntegerModel,
        rules: MixingRules,
        corrector: Corrector | None,
        trees: ByteTrees,
        memory: Memory,
        primed: bytes,
        capacity: int,
        lanes: int,
    ) -> None:
        """Initializes the lanes.

        Args:
            model: Integer model.
            rules: Rules of the version of the engine.
            corrector: Corrector of the predictions, or None.
            trees: Decisions that bytes are coded by.
            memory: Learned state, which is changed.
            primed: Text that the memory has read.
            capacity: Maximum number of bytes of each lane.
            lanes: Number of lanes.
        """
        self.memory = memory
        self.buffer = TextBuffer(primed, capacity, lanes)
        self._mixture = ContextMixing(rules, corrector, trees, memory, self.buffer)
        self._networks = NetworkLanes(model, lanes)
        self._lanes = [Lane(start) for start in self.buffer.written]

    def start_texts(self) -> None:
        """Starts a text in each lane, after what the lane has read before."""
        self._lanes = [Lane(lane.position) for lane in self._lanes]

    def start_network(self) -> None:
        """Starts the network in each lane, as at the start of a text."""
        self._networks.start()

    def code(self, lane: int, coder: Encoder | CostMeter | Decoder, byte: int | None = None) -> int:
        """Codes the next byte of a lane, or decodes it if ``coder`` is a decoder, and returns it."""
        return self._code(lane, lambda node, p: coder.code_bit(None if byte is None else int(byte >= node.middle), p))

    def update(self, lane: int, byte: int) -> None:
        """Reads a byte without coding it."""
        self._code(lane, lambda node, _: int(byte >= node.middle))

    def _code(self, number: int, code_bit: Callable[[Node, int], int]) -> int:
        """Codes a byte with ``code_bit(node, p)``.

        It codes the decision of a node, which is 1 with probability p, and returns it.
        """
        lane, network = self._lanes[number], self._networks[number]
        # The buffer is allocated once; the next lane's bytes follow.
        if lane.position - self.buffer.primed >= (number + 1) * self.buffer.capacity:
            raise ValueError("the data exceeds the capacity of a lane")
        self._mixture.start_byte(lane, network)
        byte = None
        while byte is None:
            p = self._mixture.predict(lane, network)
            assert lane.node is not None
            byte = self._mixture.update(lane, network, code_bit(lane.node, p))
        self._mixture.end_byte(lane, byte)
        # From now on, other lanes may match this byte.
        self.buffer.written[number] = lane.position
        self._networks.end_byte(number, byte)
        return byte


def prime(
    model: IntegerModel,
    rules: MixingRules,
    corrector: Corrector | None,
    trees: ByteTrees,
    memory: Memory,
    priming: Priming,
    *,
    records: bool,
) -> None:
    """Reads a priming text, the first bytes without the network and the rest with it.

    Args:
        model: Integer model.
        rules: Rules of the version of the engine.
        corrector: Corrector of the predictions, or None.
        trees: Decisions that bytes are coded by.
        memory: Learned state, which is changed.
        priming: Text to read.
        records: True to read each line as a separate text.
    """
    text, bytes_without_network = priming.text, priming.bytes_without_network
    lanes = MixingLanes(model, rules, corrector, trees, memory, b"", len(text), 1)
    for i, byte in enumerate(text):
        starts_text = i == 0 or (records and text[i - 1] == _RECORD_END)
        if starts_text:
            lanes.start_texts()
        if (starts_text and i >= bytes_without_network) if records else i == bytes_without_network:
            lanes.start_network()
        lanes.update(0, byte)


class ReferenceSession:
    """Session for one segment, an ``engines.engine.Session``."""

    def __init__(self, lanes: FastLanes | MixingLanes, count: int) -> None:
        self._lanes = lanes
        self._turns = itertools.cycle(range(count))  # continues across blocks

    def encode(self, data: bytes) -> bytes:
        """Returns the payload of the next block."""
        encoder = Encoder()
        # A new coder for each block, so that each has its own payload; the lanes keep their state.
        for byte in data:
            self._lanes.code(next(self._turns), encoder, byte)
        return encoder.finish()

    def measure(self, data: bytes) -> bytes:
        """Returns the costs of each byte, as two float32 (``engines.engine.Session``)."""
        meters = [CostMeter() for _ in data]
        for byte, meter in zip(data, meters, strict=True):
            self._lanes.code(next(self._turns), meter, byte)
        return pack_costs(meters)

    def decode(self, payload: bytes, length: int) -> bytes:
        """Returns the block of a payload. Raises ValueError if there is none."""
        decoder = Decoder(payload)
        data = bytes(self._lanes.code(next(self._turns), decoder) for _ in range(length))
        decoder.finish()
        return data


class ReferenceRecordSession:
    """Session for records, an ``engines.engine.RecordSession``.

    Each record is a separate text that ends with a line feed. After each line feed, a bit states whether the record
    ends there.
    """

    def __init__(self, start_lane: Callable[[], FastLanes | MixingLanes]) -> None:
        """Initializes the session.

        Args:
            start_lane: Function that returns one lane in the state at the start of each record.
        """
        self._start_lane = start_lane

    def encode(self, record: bytes) -> bytes:
        """Returns the payload of one record."""
        encoder = Encoder()
        self._encode(record, itertools.repeat(encoder))
        return encoder.finish()

    def measure(self, record: bytes) -> bytes:
        """Returns the costs of each byte of the record and of its end, as two float32."""
        meters = [CostMeter() for _ in range(len(record) + 1)]
        self._encode(record, meters)
        return pack_costs(meters)

    def decode(self, payload: bytes, limit: int) -> bytes:
        """Returns the record of a payload. Raises ValueError if there is none of at most ``limit`` bytes."""
        lanes, decoder = self._start_lane(), Decoder(payload)
        record = bytearray()
        # The limit bounds the memory: a damaged payload may code far more bytes than it has.
        while (byte := lanes.code(0, decoder)) != _RECORD_END or not decoder.code_bit(None, _P_END):
            if len(record) >= limit:
                raise ValueError("the record is longer than the limit")
            record.append(byte)
        decoder.finish()
        return bytes(record)

    def _encode(self, record: bytes, coders: Iterable[Encoder | CostMeter]) -> None:
        """Codes each byte of a record, and its end, with the next coder."""
        lanes = self._start_lane()
        for (i, byte), coder in zip(enumerate([*record, _RECORD_END]), coders, strict=False):
            lanes.code(0, coder, byte)
            # Records may contain line feeds, so each is marked. If it ends the record, as nearly always, this takes
            # 0.0014 bits.
            if byte == _RECORD_END:
                coder.code_bit(int(i == len(record)), _P_END)


class ReferenceEngine(Engine):
    """Engine in plain Python: it codes with the network alone or, with a priming, by context mixing."""

    def __init__(
        self,
        model: IntegerModel,
        priming: Priming | None,
        version: int | None = None,
        corrector: Corrector | None = None,
    ) -> None:
        """Initializes the engine. The arguments are those of ``Engine``."""
        super().__init__(model, priming, version, corrector)
        self._model = model
        self._priming = priming
        self._rules = MIXING_RULES[self.version]
        text = priming.text if priming is not None and self._rules.has_balanced_trees else None
        self._trees = ByteTrees(text)
        self._primed: dict[bool, bytes] = {}
        self._lock = threading.Lock()

    def start_session(self, num_lanes: int) -> Session:
        """Returns a session; in mixing mode, it has read the priming."""
        lanes = self._start_lanes(num_lanes, compute_lane_capacity(num_lanes), records=False)
        return ReferenceSession(lanes, num_lanes)

    def start_record_session(self) -> RecordSession:
        """Returns a session for records; in mixing mode, it has read the priming line by line."""
        return ReferenceRecordSession(lambda: self._start_lanes(1, engine.RECORD_CAPACITY, records=True))

    def _start_lanes(self, count: int, capacity: int, *, records: bool) -> FastLanes | MixingLanes:
        if self._priming is None:
            return FastLanes(self._model, count)
        memory = self._copy_primed_memory(self._priming, records)
        lanes = MixingLanes(
            self._model, self._rules, self.corrector, self._trees, memory, self._priming.text, capacity, count
        )
        # The network starts from scratch: unlike the context models, it does not continue the priming text.
        lanes.start_network()
        return lanes

    def _copy_primed_memory(self, priming: Priming, records: bool) -> Memory:
        """Returns a new copy of the memory after the priming."""
        # Pickled, because that copies faster than deepcopy. The lock lets the priming be read once.
        with self._lock:
            if records not in self._primed:
                memory = Memory(engine.FULL_BITS, engine.LIGHT_BITS)
                prime(self._model, self._rules, self.corrector, self._trees, memory, priming, records=records)
                self._primed[records] = pickle.dumps(memory)
        # Only of bytes that this engine pickled itself.
        memory = pickle.loads(self._primed[records])
        assert isinstance(memory, Memory)
        return memory
