"""The engines in native code."""

import hashlib
import threading
from typing import Any

from charloom.codec.container import LANES, LARGEST_SEGMENT
from charloom.codec.engine import LARGEST_CODED_RECORD, Mode, RecordSession, Session
from charloom.codec.integer_model import IntegerModel
from charloom.codec.native import native_network
from charloom.codec.priming import Priming

_FULL_BITS, _LIGHT_BITS = 18, 22  # slots of the mixture's tables, as exponents of two: 16 and 64 MiB
_FAST_LANE = 1 << 12  # bytes that pay for a lane's beginning
_MIXING_LANES, _MIXING_LANES_FROM = 16, 1 << 20


def engine_fingerprint(mode: Mode, model: IntegerModel, priming: Priming) -> bytes:
    """32 bytes, of everything that an engine's coding depends on."""
    digest = hashlib.sha256(f"charloom {mode} 1\n".encode() + model.fingerprint())
    if mode == "mixing":
        digest.update(priming.fingerprint())
    return digest.digest()


class NativeFastEngine:
    """Codes by the network alone."""

    name: Mode = "fast"

    def __init__(self, model: IntegerModel, instruction_set: str) -> None:
        self.fingerprint = engine_fingerprint("fast", model, Priming())
        self._speaker = _speaker(model, instruction_set)

    def lanes_for(self, length: int) -> int:
        """As many as pay for their beginnings: the network reads a character of each in one go."""
        return max((lanes for lanes in LANES if lanes * _FAST_LANE <= length), default=1)

    def begin(self, lanes: int) -> Session:
        """A session that has read nothing."""
        import charloom._codec as native

        return native.FastSession(self._speaker, lanes)

    def records(self) -> RecordSession:
        """A session for records."""
        import charloom._codec as native

        return native.FastRecords(self._speaker)


class NativeMixingEngine:
    """Codes by the mixture of the network and context models."""

    name: Mode = "mixing"

    def __init__(self, model: IntegerModel, priming: Priming, instruction_set: str) -> None:
        self.fingerprint = engine_fingerprint("mixing", model, priming)
        self._priming = priming
        self._instruction_set = instruction_set
        self._speaker = _speaker(model, instruction_set)
        self._primed: dict[bool, Any] = {}
        self._lock = threading.Lock()

    def lanes_for(self, length: int) -> int:
        """One for a short text, whose ratio lanes would spoil."""
        return 1 if length < _MIXING_LANES_FROM else _MIXING_LANES

    def begin(self, lanes: int) -> Session:
        """A session that has read the priming."""
        session: Session = self._mixing(records=False).session(lanes, -(-LARGEST_SEGMENT // lanes))
        return session

    def records(self) -> RecordSession:
        """A session for records, that has read the priming line by line."""
        session: RecordSession = self._mixing(records=True).records(LARGEST_CODED_RECORD + 2)
        return session

    def _mixing(self, records: bool) -> Any:
        """Read when it is first needed: it takes up to a few seconds."""
        import charloom._codec as native

        with self._lock:
            if records not in self._primed:
                text, silent = self._priming.text, self._priming.silent
                self._primed[records] = native.Mixing(
                    self._instruction_set, _FULL_BITS, _LIGHT_BITS, self._speaker, text, silent, records
                )
            return self._primed[records]


def _speaker(model: IntegerModel, instruction_set: str) -> Any:
    import charloom._codec as native

    network = native_network(model, instruction_set)
    return native.Speaker(network, model.token_bytes.tobytes(), model.token_offsets.tolist())
