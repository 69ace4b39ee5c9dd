"""Engines for the container's tests: a small one in Python whose bytes never change, and a fast one on zlib."""

import hashlib
import zlib
from array import array

from charloom_codec.engines.engine import Engine, Mode

_PROBABILITY_BITS = 12
_SHIFT = 4
_END_SHIFT = 6


class _Bits:
    """An adaptive binary range coder (after lpaq's, M. Mahoney), 32 bits; trailing zero bytes are dropped."""

    def __init__(self, payload: bytes | None = None) -> None:
        self.low, self.high = 0, 0xFFFFFFFF
        self.out = bytearray()
        self.payload = payload
        self.place = 0
        self.value = 0
        if payload is not None:
            for _ in range(4):
                self._shift_in()

    def code(self, probability: int, bit: int | None) -> int:
        """Codes a bit whose probability of being 1 is ``probability`` / 4096; decodes it if ``bit`` is None."""
        middle = self.low + ((self.high - self.low) >> _PROBABILITY_BITS) * probability
        if bit is None:
            bit = int(self.value <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while (self.low ^ self.high) < 1 << 24:
            self.out.append(self.high >> 24)
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = (self.high << 8 & 0xFFFFFFFF) | 255
            if self.payload is not None:
                self._shift_in()
        return bit

    def finish(self) -> bytes:
        # The number between low and high with the most trailing zeros.
        for bits in range(32, -1, -1):
            value = (self.low + (1 << bits) - 1) >> bits << bits
            if value <= self.high:
                break
        return bytes(self.out + value.to_bytes(4, "big")).rstrip(b"\0")

    def _shift_in(self) -> None:
        assert self.payload is not None
        byte = self.payload[self.place] if self.place < len(self.payload) else 0
        self.place += 1
        if self.place > len(self.payload) + 4:
            self.runs_dry()
        self.value = (self.value << 8 | byte) & 0xFFFFFFFF

    def runs_dry(self) -> None:
        if not any(self.out[-64:]):
            return  # zeros that were dropped
        if self.place > len(self.payload or b"") + 64:
            raise ValueError("the payload runs dry")


class _Model:
    """The probability of each bit given the previous byte of the same lane."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.table: dict[tuple[int, int], int] = {}
        self.before = [0] * lanes
        self.place = 0

    def byte(self, bits: _Bits, byte: int | None) -> int:
        lane = self.place % self.lanes
        self.place += 1
        node = 1
        for position in range(7, -1, -1):
            key = (self.before[lane], node)
            probability = self.table.get(key, 1 << _PROBABILITY_BITS - 1)
            bit = bits.code(probability, None if byte is None else byte >> position & 1)
            target = (1 << _PROBABILITY_BITS) - 32 if bit else 32
            self.table[key] = probability + ((target - probability) >> _SHIFT)
            node = node << 1 | bit
        self.before[lane] = node & 255
        return node & 255


class PlainSession:
    def __init__(self, lanes: int, start: bytes) -> None:
        self.model = _Model(lanes)
        bits = _Bits()
        for byte in start:
            for _ in range(lanes):
                self.model.byte(bits, byte)

    def encode(self, data: bytes) -> bytes:
        bits = _Bits()
        for byte in data:
            self.model.byte(bits, byte)
        return bits.finish()

    def measure(self, data: bytes) -> bytes:
        """Returns the value of each byte as its bits, and half of it as those expected: the byte is known from them."""
        return array("f", [bits for byte in data for bits in (byte, byte / 2)]).tobytes()

    def decode(self, payload: bytes, length: int) -> bytes:
        bits = _Bits(payload)
        return bytes(self.model.byte(bits, None) for _ in range(length))


class PlainRecords:
    """Records with a bit before each byte that states if there is one."""

    def __init__(self, start: bytes) -> None:
        self.start = start

    def encode(self, record: bytes) -> bytes:
        bits, model = _Bits(), PlainSession(1, self.start).model
        for byte in record:
            bits.code(64, 0)
            model.byte(bits, byte)
        bits.code(64, 1)
        return bits.finish()

    def measure(self, record: bytes) -> bytes:
        """Returns the value of each byte as its bits, and half of it as those expected; 1000 and 500 for the end."""
        return array("f", [bits for value in (*record, 1000) for bits in (value, value / 2)]).tobytes()

    def decode(self, payload: bytes, limit: int) -> bytes:
        bits, model = _Bits(payload), PlainSession(1, self.start).model
        record = bytearray()
        while not bits.code(64, None):
            if len(record) == limit:
                raise ValueError("too long a record")
            record.append(model.byte(bits, None))
        return bytes(record)


def _choose_num_lanes(length: int) -> int:
    return 1 if length < 1 << 20 else 16


class PlainEngine(Engine):
    """Order 1, adaptive, bit by bit, in Python; primed with ``start``."""

    def __init__(self, name: Mode = "mixing", start: bytes = b"") -> None:
        self.mode = name
        self.start = start
        self.fingerprint = hashlib.sha256(b"plain" + name.encode() + start).digest()

    def choose_num_lanes(self, length: int) -> int:
        return _choose_num_lanes(length)

    def start_session(self, num_lanes: int) -> PlainSession:
        return PlainSession(num_lanes, self.start)

    def start_record_session(self) -> PlainRecords:
        return PlainRecords(self.start)


class ZlibSession:
    """Compresses each block with the one before as dictionary, for any lanes: it cannot detect a wrong number."""

    def __init__(self, start: bytes) -> None:
        self.before = start

    def encode(self, data: bytes) -> bytes:
        coder = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=self.before)
        self.before = data
        return coder.compress(data) + coder.flush()

    def measure(self, data: bytes) -> bytes:
        raise NotImplementedError

    def decode(self, payload: bytes, length: int) -> bytes:
        coder = zlib.decompressobj(-15, zdict=self.before)
        try:
            data = coder.decompress(payload, length + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(data) != length or not coder.eof or coder.unused_data:
            raise ValueError("another length")
        self.before = data
        return data


class ZlibRecords:
    def __init__(self, start: bytes) -> None:
        self.start = start

    def encode(self, record: bytes) -> bytes:
        return ZlibSession(self.start).encode(record)

    def measure(self, record: bytes) -> bytes:
        raise NotImplementedError

    def decode(self, payload: bytes, limit: int) -> bytes:
        coder = zlib.decompressobj(-15, zdict=self.start)
        try:
            data = coder.decompress(payload, limit + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(data) > limit or not coder.eof or coder.unused_data:
            raise ValueError("no record")
        return data


class ZlibEngine(Engine):
    """A fast engine in C without the GIL, as the real ones."""

    def __init__(self, name: Mode = "fast", start: bytes = b" the and of to in") -> None:
        self.mode = name
        self.start = start
        self.fingerprint = hashlib.sha256(b"zlib" + name.encode() + start).digest()

    def choose_num_lanes(self, length: int) -> int:
        return _choose_num_lanes(length)

    def start_session(self, num_lanes: int) -> ZlibSession:
        assert num_lanes
        return ZlibSession(self.start)

    def start_record_session(self) -> ZlibRecords:
        return ZlibRecords(self.start)


ENGINES: list[Engine] = [PlainEngine(), ZlibEngine()]
