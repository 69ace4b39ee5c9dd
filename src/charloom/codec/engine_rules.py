"""What native and plain engines have in common: sizes that what they write depends on, and their fingerprint."""

import hashlib

from charloom.codec.container import LANES, LARGEST_SEGMENT
from charloom.codec.engine import LARGEST_CODED_RECORD, Mode
from charloom.codec.integer_model import IntegerModel
from charloom.codec.priming import Priming

FULL_BITS, LIGHT_BITS = 18, 21
"""Slots of the mixture's tables, as exponents of two: 16 and 32 MiB."""
RECORD_CAPACITY = LARGEST_CODED_RECORD + 2
"""Bytes: the line feed at the end, and the byte by which a record is found to be too long."""
_FAST_LANE = 1 << 12  # bytes that pay for a lane's beginning
_MIXING_LANES, _MIXING_LANES_FROM = 16, 1 << 20


def fast_lanes_for(length: int) -> int:
    """As many as pay for their beginnings: the network reads a character of each in one go."""
    return max((lanes for lanes in LANES if lanes * _FAST_LANE <= length), default=1)


def mixing_lanes_for(length: int) -> int:
    """One for a short text, whose ratio lanes would spoil."""
    return 1 if length < _MIXING_LANES_FROM else _MIXING_LANES


def lane_capacity(lanes: int) -> int:
    """Bytes that a lane of the mixture has room for."""
    return -(-LARGEST_SEGMENT // lanes)


def engine_fingerprint(mode: Mode, model: IntegerModel, priming: Priming) -> bytes:
    """32 bytes, of everything that an engine's coding depends on."""
    digest = hashlib.sha256(f"charloom {mode} 1\n".encode() + model.fingerprint())
    if mode == "mixing":
        digest.update(priming.fingerprint())
    return digest.digest()
