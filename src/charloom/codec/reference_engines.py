"""The engines in plain Python, for where there is no native code: the same bytes, a hundred times slower and more."""

import threading

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
from charloom.codec.priming import Priming
from charloom.codec.reference_coding import FastLanes, MixingLanes, ReferenceRecordSession, ReferenceSession, prime
from charloom.codec.reference_memory import Memory


class ReferenceFastEngine:
    """Codes by the network alone."""

    name: Mode = "fast"

    def __init__(self, model: IntegerModel) -> None:
        self.fingerprint = engine_fingerprint("fast", model, Priming())
        self._model = model

    def lanes_for(self, length: int) -> int:
        """As many as pay for their beginnings."""
        return fast_lanes_for(length)

    def begin(self, lanes: int) -> Session:
        """A session that has read nothing."""
        return ReferenceSession(FastLanes(self._model, lanes), lanes)

    def records(self) -> RecordSession:
        """A session for records."""
        return ReferenceRecordSession(lambda: FastLanes(self._model, 1))


class ReferenceMixingEngine:
    """Codes by the mixture of the network and context models."""

    name: Mode = "mixing"

    def __init__(self, model: IntegerModel, priming: Priming) -> None:
        self.fingerprint = engine_fingerprint("mixing", model, priming)
        self._model = model
        self._priming = priming
        self._primed: dict[bool, Memory] = {}
        self._lock = threading.Lock()

    def lanes_for(self, length: int) -> int:
        """One for a short text, whose ratio lanes would spoil."""
        return mixing_lanes_for(length)

    def begin(self, lanes: int) -> Session:
        """A session that has read the priming."""
        return ReferenceSession(self._lanes(lanes, lane_capacity(lanes), records=False), lanes)

    def records(self) -> RecordSession:
        """A session for records, that has read the priming line by line."""
        return ReferenceRecordSession(lambda: self._lanes(1, RECORD_CAPACITY, records=True))

    def _lanes(self, count: int, capacity: int, *, records: bool) -> MixingLanes:
        with self._lock:
            if records not in self._primed:
                memory = Memory(FULL_BITS, LIGHT_BITS)
                prime(self._model, memory, self._priming, records=records)
                self._primed[records] = memory
        lanes = MixingLanes(self._model, self._primed[records].copied(), self._priming.text, capacity, count)
        lanes.begin_silent()
        lanes.begin_voices()
        return lanes
