"""The engines in native code."""

import threading
from typing import Any

from charloom.codec.engine import Mode, RecordSession, Session
from charloom.codec.engine_rules import (
    FULL_BITS,
    LIGHT_BITS,
    RECORD_CAPACITY,
    engine_fingerprint,
    fast_lanes_for,
    lane_capacity,
    mixing_lanes_for,
)
from charloom.codec.integer_model import IntegerModel
from charloom.codec.native import native_network
from charloom.codec.priming import Priming


class NativeFastEngine:
    """Codes by the network alone."""

    name: Mode = "fast"

    def __init__(self, model: IntegerModel, instruction_set: str) -> None:
        self.fingerprint = engine_fingerprint("fast", model, Priming())
        self._speaker = _speaker(model, instruction_set)

    def lanes_for(self, length: int) -> int:
        """As many as pay for their beginnings."""
        return fast_lanes_for(length)

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
        return mixing_lanes_for(length)

    def begin(self, lanes: int) -> Session:
        """A session that has read the priming."""
        session: Session = self._mixing(records=False).session(lanes, lane_capacity(lanes))
        return session

    def records(self) -> RecordSession:
        """A session for records, that has read the priming line by line."""
        session: RecordSession = self._mixing(records=True).records(RECORD_CAPACITY)
        return session

    def _mixing(self, records: bool) -> Any:
        """Read when it is first needed: it takes up to a few seconds."""
        import charloom._codec as native

        with self._lock:
            if records not in self._primed:
                text, silent = self._priming.text, self._priming.silent
                self._primed[records] = native.Mixing(
                    self._instruction_set, FULL_BITS, LIGHT_BITS, self._speaker, text, silent, records
                )
            return self._primed[records]


def _speaker(model: IntegerModel, instruction_set: str) -> Any:
    import charloom._codec as native

    network = native_network(model, instruction_set)
    return native.Speaker(network, model.token_bytes.tobytes(), model.token_offsets.tolist())
