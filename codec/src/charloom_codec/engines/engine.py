"""The interface of engines, between the file format and the models, which supply probabilities.

An engine codes bytes as payloads. It computes with integers alone, so that the same bytes give the same payload on
every machine. The format divides data into blocks and adds checksums; it does not interpret payloads.
"""

import hashlib
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom_codec.model.corrector import Corrector, load_corrector
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.model.priming import Priming

BLOCK = 1 << 16
"""Bytes of the original in a block, in coding order: one call codes a block, and one checksum covers it."""
MAX_SEGMENT = 1 << 24
"""Maximum bytes of a segment that a reader accepts, which bounds the memory of the reader."""
MAX_CODED_RECORD = 1 << 20
"""Maximum bytes of a record that an engine codes; longer records are stored."""
LANES = (1, 4, 8, 16, 32, 64)
"""Allowed numbers of lanes, the parallel streams of a segment, indexed by their code in a file, 0 to 5."""
FULL_BITS, LIGHT_BITS = 18, 21
"""Binary logarithms of the numbers of full and light slots: 16 and 32 MiB."""
VERSIONS: dict[str, tuple[int, ...]] = {"fast": (1,), "mixing": (3, 2, 1)}
"""Versions of each mode, the current one first. Earlier ones are for decoding only."""
RECORD_CAPACITY = MAX_CODED_RECORD + 2
"""Bytes of a lane for records: the record, its line feed, and one byte that shows that a record is too long."""
# Minimum bytes of a lane: each lane starts without context, which costs compression.
_MIN_FAST_LANE = 1 << 12
# Several lanes are faster but compress worse, which affects short texts most.
_MIXING_LANES, _MIN_BYTES_FOR_LANES = 16, 1 << 20

Mode: TypeAlias = Literal["fast", "mixing"]
"""Mode of an engine: the network alone ("fast"), or the network mixed with context models that adapt ("mixing")."""


class CodingCosts(NamedTuple):
    """Bits that coding takes, for each byte.

    Attributes:
        bits: Minus the binary logarithms of the probabilities that are coded with.
        expected_bits: Sum of the entropies of the decisions that code the byte. On average over all bytes that were
            possible, weighted by their probabilities, it is the number of bits, the entropy; for a byte that starts
            with an unlikely decision it is higher if what follows is uncertain.
    """

    bits: NDArray[np.float32]
    expected_bits: NDArray[np.float32]

    @classmethod
    def from_bytes(cls, measured: bytes) -> "CodingCosts":
        """Returns the costs that ``measure`` of a session returns: two float32 for each byte, in native byte order."""
        return cls(*np.frombuffer(measured, np.float32).reshape(-1, 2).T)


class Session(Protocol):
    """Coding of one segment, block by block, in one direction.

    With ``num_lanes`` lanes, byte p of the segment in coding order belongs to lane p % num_lanes. All blocks but the
    last have BLOCK bytes, which is a multiple of every number of lanes. Releases the GIL while it codes.
    """

    def encode(self, data: bytes) -> bytes:
        """Returns the payload of the next block, and adapts to the block."""

    def measure(self, data: bytes) -> bytes:
        """Returns the costs of each byte of the next block (``CodingCosts.from_bytes``), and adapts to the block."""

    def decode(self, payload: bytes, length: int) -> bytes:
        """Returns the block of ``length`` bytes that a payload codes, and adapts to it as ``encode`` does.

        Takes no more time and memory for a wrong payload than for a valid block of that length. A wrong payload may
        also decode to wrong bytes: the checksum of the block detects them.

        Raises:
            ValueError: No block has this payload.
        """


class RecordSession(Protocol):
    """Coding of independent records: it adapts within a record, then resets to the same state. Releases the GIL."""

    def encode(self, record: bytes) -> bytes:
        """Returns the payload of one record. The payload also codes the record's end."""

    def measure(self, record: bytes) -> bytes:
        """Returns the costs of each byte of the record and of its end (``CodingCosts.from_bytes``)."""

    def decode(self, payload: bytes, limit: int) -> bytes:
        """Returns the record of a payload. Raises ValueError if there is none of at most ``limit`` bytes."""


class Engine:
    """Base class of engines, which code bytes as payloads with an integer model. Subclasses implement the sessions.

    Attributes:
        mode: Mode of the engine: "mixing" with a priming, "fast" without one.
        version: Version of the mode.
        corrector: Corrector of the mixture; None in fast mode, and in version 1 of mixing mode.
        fingerprint: Hash, 32 bytes, of everything that coding depends on. Engines with equal fingerprints decode each
            other's payloads.
    """

    mode: Mode
    version: int
    corrector: Corrector | None
    fingerprint: bytes

    def __init__(
        self,
        model: IntegerModel,
        priming: Priming | None,
        version: int | None = None,
        corrector: Corrector | None = None,
    ) -> None:
        """Initializes the engine.

        Args:
            model: Integer model.
            priming: Text that the mixture reads first, or None for the network alone.
            version: One of the VERSIONS of the mode; None for the current one.
            corrector: Corrector to use instead of that of charloom.
        """
        self.mode = "fast" if priming is None else "mixing"
        self.version = version = VERSIONS[self.mode][0] if version is None else version
        if version not in VERSIONS[self.mode]:
            raise ValueError(f"the {self.mode} engine has no version {version}")
        has_corrector = self.mode == "mixing" and version > 1
        if corrector is not None and not has_corrector:
            raise ValueError(f"version {version} of the {self.mode} engine has no corrector")
        # A version that codes differently has other fingerprints.
        digest = hashlib.sha256(f"charloom {self.mode} {version}\n".encode() + model.compute_fingerprint())
        if priming is not None:
            digest.update(priming.compute_fingerprint())
        self.corrector = (corrector or load_corrector(version)) if has_corrector else None
        if self.corrector is not None:
            digest.update(self.corrector.compute_fingerprint())
        self.fingerprint = digest.digest()

    def choose_num_lanes(self, length: int) -> int:
        """Returns the number of lanes, one of LANES, for a segment of ``length`` bytes."""
        # The length alone decides, so that the compressed bytes do not depend on the machine.
        if self.mode == "fast":
            return max((lanes for lanes in LANES if lanes * _MIN_FAST_LANE <= length), default=1)
        return 1 if length < _MIN_BYTES_FOR_LANES else _MIXING_LANES

    def start_session(self, num_lanes: int) -> Session:
        """Returns a session in the initial state: in mixing mode, the state after the priming.

        Raises NotImplementedError unless a subclass implements it, as does ``start_record_session``.
        """
        raise NotImplementedError

    def start_record_session(self) -> RecordSession:
        """Returns a session for records of one thread; several may exist at once.

        In mixing mode, each record starts from the state after the priming, each line of which is read as a separate
        record.
        """
        raise NotImplementedError


def compute_lane_capacity(num_lanes: int) -> int:
    """Returns the capacity of a lane of a mixing session, in bytes: MAX_SEGMENT / num_lanes, rounded up."""
    return -(-MAX_SEGMENT // num_lanes)
