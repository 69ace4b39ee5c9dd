"""The door between the container, which knows files, and the engines, which know probabilities.

An engine turns bytes into payloads. Everything it computes is integers, so that the same bytes give the same payload on
every machine. The container cuts, counts and checks; it never looks into a payload.
"""

from typing import Literal, Protocol, TypeAlias, runtime_checkable

BLOCK = 1 << 16
"""Bytes of the original that a block covers, in coding order: what one call codes, what a checksum covers."""

LARGEST_CODED_RECORD = 1 << 20
"""Bytes of a record that an engine codes; longer ones are stored."""

Mode: TypeAlias = Literal["fast", "mixing"]
"""How an engine predicts: the network alone, or mixed with context models that learn while they read."""


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
        container's checksum is what finds that. Takes no more time and memory than an honest block of that length.
        """


class RecordSession(Protocol):
    """Codes many records, each from the same state: it learns within a record, then forgets. Releases the GIL."""

    def encode(self, record: bytes) -> bytes:
        """The payload of one record. Where the record ends is coded in it."""

    def decode(self, payload: bytes, limit: int) -> bytes:
        """The record; ValueError where the payload cannot be right, or gives more than ``limit`` bytes."""


@runtime_checkable
class Engine(Protocol):
    """What turns bytes into payloads.

    Attributes:
        name: Which kind.
        fingerprint: 32 bytes, a hash of everything that coding depends on: equal fingerprints decode each other.
    """

    name: Mode
    fingerprint: bytes

    def lanes_for(self, length: int) -> int:
        """The lanes, one of ``container.LANES``, that suit a segment of so many bytes: its length alone decides."""

    def begin(self, lanes: int) -> Session:
        """A session in the state that is the same at every ``begin``."""

    def records(self) -> RecordSession:
        """A session for records. One thread's; several may live at once."""
