"""Engines in native code (``codec/kernels``) and the choice of an instruction set. No other module uses ``_codec``."""

import threading

import numpy as np

from charloom_codec.cells import CELL_NAMED, check_native_cells
from charloom_codec.engines import engine
from charloom_codec.engines.engine import Engine, RecordSession, Session, compute_lane_capacity
from charloom_codec.model.bounds import Array
from charloom_codec.model.corrector import CATEGORIES, INPUTS, UNITS, Corrector
from charloom_codec.model.integer_model import IntegerMatrix, IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.native_code import choose

try:
    import charloom_codec._codec as _native
except ImportError:
    _native = None  # type: ignore[assignment]
else:
    # A stale build whose cells have other numbers would compute another model.
    check_native_cells("charloom_codec._codec", getattr(_native, "CELLS", {}))

# Variants of the codec, tried in this order, for a variant of the training kernels that the codec does not have.
_SAME_AS = {"avx512": ("avx512vnni", "avx2"), "avx512bf16": ("avx512vnni",)}


def supported() -> list[str]:
    """Returns the variants of the native code that this processor can run, the fastest last; none without a build."""
    return [] if _native is None else _native.supported()


def choose_instruction_set() -> str | None:
    """Returns the variant that the environment selects as for training (``native_code``); None for Python.

    The compressed bytes do not depend on it. Raises SettingsError for a variant that this machine cannot run.
    """
    name = choose(supported(), _SAME_AS)
    # A name that is not supported here is that of the fallback in Python.
    return name if name in supported() else None


class NativeEngine(Engine):
    """Native engine: it codes with the network alone or, with a priming, by context mixing."""

    def __init__(
        self,
        model: IntegerModel,
        priming: Priming | None,
        instruction_set: str,
        version: int | None = None,
        corrector: Corrector | None = None,
    ) -> None:
        """Initializes the engine for an instruction set. The other arguments are those of ``Engine``."""
        super().__init__(model, priming, version, corrector)
        self._network = _make_network(model, instruction_set)
        self._native_corrector = None if self.corrector is None else _make_corrector(self.corrector)
        self._priming = priming
        self._primed: dict[bool, _native.Mixing] = {}
        self._lock = threading.Lock()

    def start_session(self, num_lanes: int) -> Session:
        """Returns a session; in mixing mode, it has read the priming."""
        if self._priming is None:
            return _native.FastSession(self._network, num_lanes)
        return self._open_mixing(self._priming, records=False).session(num_lanes, compute_lane_capacity(num_lanes))

    def start_record_session(self) -> RecordSession:
        """Returns a session for records; in mixing mode, it has read the priming line by line."""
        if self._priming is None:
            return _native.FastRecords(self._network)
        # A separate memory, for which the priming was read line by line.
        return self._open_mixing(self._priming, records=True).records(engine.RECORD_CAPACITY)

    def _open_mixing(self, priming: Priming, *, records: bool) -> "_native.Mixing":
        """Returns the mixing engine after the priming."""
        # Primed on first use, because it takes up to a few seconds; with the lock, so that it happens once.
        with self._lock:
            if records not in self._primed:
                self._primed[records] = _native.Mixing(
                    self._network,
                    self.version,
                    self._native_corrector,
                    engine.FULL_BITS,
                    engine.LIGHT_BITS,
                    priming.text,
                    priming.bytes_without_network,
                    records,
                )
            return self._primed[records]


def _make_corrector(corrector: Corrector) -> "_native.Corrector":
    assert _native is not None
    # A stale build with other sizes would read beyond the arrays.
    if (INPUTS, UNITS, *CATEGORIES) != _native.CORRECTOR_SIZES:
        raise ImportError("charloom_codec._codec was built with other sizes of the corrector: install charloom again")
    inputs = corrector.pair_inputs()
    # Variables, because the arrays must be alive until the native code has copied them.
    rows, output, log_counts = map(np.ascontiguousarray, (corrector.rows, corrector.output, corrector.log_counts))
    return _native.Corrector(
        inputs.ctypes.data, rows.ctypes.data, output.ctypes.data, int(corrector.output_bias[0]), log_counts.ctypes.data
    )


def _make_network(model: IntegerModel, instruction_set: str) -> "_native.Network":
    arrays: list[Array] = []  # alive until the native code, which gets addresses, has copied them

    def get_address(array: Array | None) -> int:
        if array is None:
            return 0  # a null pointer
        arrays.append(np.ascontiguousarray(array))
        return int(arrays[-1].ctypes.data)

    def describe_matrix(m: IntegerMatrix | None) -> tuple[int, int, int, int]:
        if m is None:
            return (0, 0, 0, 0)
        return (get_address(m.weights), get_address(m.multipliers), int(m.shifts[0]), int(m.shifts[1]))

    return _native.Network(
        instruction_set,
        (CELL_NAMED[model.cell].number, model.hidden_size, model.vocabulary_size, model.start_token),
        get_address(model.token_table),
        [
            (
                describe_matrix(layer.hidden),
                describe_matrix(layer.input),
                get_address(layer.bias),
                get_address(layer.candidate_bias),
            )
            for layer in model.layers
        ],
        describe_matrix(model.output),
        get_address(model.output_bias),
        get_address(model.tanh),
        get_address(model.exp2),
        get_address(model.token_bytes),
        get_address(model.token_offsets),
    )
