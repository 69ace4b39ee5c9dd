"""The engine: the interface between the file format, which knows files, and models, which know probabilities.

An engine turns bytes into payloads. Everything it computes is integers, so that the same bytes give the same payload on
every machine. The format cuts, counts and checks; it never looks into a payload.
"""

import hashlib
from typing import Literal, Protocol, TypeAlias

from charloom.codec.model.integer_model import IntegerModel
from charloom.codec.model.priming import Priming

BLOCK = 1 << 16
"""Bytes of the original that a block covers, in coding order: what one call codes, what a checksum covers."""
MAX_SEGMENT = 1 << 24
"""Bytes of a segment that a reader accepts: with it, the memory that it takes is bounded."""
MAX_CODED_RECORD = 1 << 20
"""Bytes of a record that an engine codes; longer ones are stored."""
LANES = (1, 4, 8, 16, 32, 64)
"""Numbers of lanes by their code in a file, 0 to 5."""
FULL_BITS, LIGHT_BITS = 18, 21
"""Slots of the mixture's tables, as exponents of two: 16 and 32 MiB."""
RECORD_CAPACITY = MAX_CODED_RECORD + 2
"""Bytes: the line feed at the end, and the byte by which a record is found to be too long."""
_FAST_LANE = 1 << 12  # bytes that pay for a lane's beginning
_MIXING_LANES, _MIXING_LANES_FROM = 16, 1 << 20

Mode: TypeAlias = Literal["fast", "mixing"]
"""Prediction of an engine: the network alone, or mixed with context models that learn while they read."""


class Session(Protocol):
    """One segment on its way through an engine, block by block, in one direction.

    With ``lanes`` lanes, byte number p of the segment in coding order belongs to lane p % lanes. All blocks but the
    last have BLOCK bytes, which every number of lanes divides. Releases the GIL while it codes.
    """

    def encode(self, data: bytes) -> bytes:
        """The payload of the next block, whole in itself. The session learns from the block."""

    def decode(self, payload: bytes, length: int) -> bytes:
        """The block of ``length`` bytes whose payload this is. Inverse of ``encode``; learns the same.

        Raises ValueError as soon as the payload cannot be right. A payload that is wrong may also give wrong bytes: the
        checksum of its block finds that. Takes no more time and memory than an honest block of that length.
        """


class RecordSession(Protocol):
    """Codes many records, each from the same state: it learns within a record, then forgets. Releases the GIL."""

    def encode(self, record: bytes) -> bytes:
        """The payload of one record. Where the record ends is coded in it."""

    def decode(self, payload: bytes, limit: int) -> bytes:
        """The record; ValueError if the payload cannot be right, or gives more than ``limit`` bytes."""


class Engine:
    """Turns bytes into payloads, by an integer model.

    Attributes:
        name: Its mode: "mixing" with a priming, "fast" without one.
        fingerprint: 32 bytes, a hash of everything that coding depends on: equal fingerprints decode each other.
    """

    name: Mode
    fingerprint: bytes

    def __init__(self, model: IntegerModel, priming: Priming | None) -> None:
        self.name = "fast" if priming is None else "mixing"
        digest = hashlib.sha256(f"charloom {self.name} 1\n".encode() + model.fingerprint())
        if priming is not None:
            digest.update(priming.fingerprint())
        self.fingerprint = digest.digest()

    def lanes_for(self, length: int) -> int:
        """The lanes, one of LANES, that suit a segment of so many bytes: its length alone decides.

        Fast: as many as pay for their beginnings. Mixing: one for a short text, whose ratio lanes would spoil.
        """
        if self.name == "fast":
            return max((lanes for lanes in LANES if lanes * _FAST_LANE <= length), default=1)
        return 1 if length < _MIXING_LANES_FROM else _MIXING_LANES

    def begin(self, lanes: int) -> Session:
        """A session in the state that is the same at every ``begin``; a mixing one has read the priming."""
        raise NotImplementedError

    def records(self) -> RecordSession:
        """A session for records, one thread's; several may live at once. A mixing one has read the priming by line."""
        raise NotImplementedError


def lane_capacity(lanes: int) -> int:
    """Bytes that a lane of the mixture has room for."""
    return -(-MAX_SEGMENT // lanes)
