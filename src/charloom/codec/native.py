"""The one door to the codec's native code, and the choice of how an integer model is computed. Needs no PyTorch.

``CHARLOOM_KERNELS`` chooses as it does for training (``recurrence.dispatch``): ``reference`` and ``pytorch`` compute in
plain numpy, the names of instruction sets in native code, ``auto`` as fast as it goes here. The integers are the same.
"""

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charloom.codec.integer_model import CELLS, IntegerMatrix, IntegerModel
from charloom.codec.reference_network import Frequencies, ReferenceNetwork
from charloom.errors import SettingsError

VARIABLE = "CHARLOOM_KERNELS"
_PLAIN = ("reference", "pytorch")
# What is tried, in this order, where the training kernels have an instruction set that the codec divides otherwise.
_SAME_AS = {"avx512": ("avx512vnni", "avx2"), "avx512bf16": ("avx512vnni",)}
_WORDS = ("auto", *_PLAIN, "scalar", "avx2", "avx512", "avx512bf16", "avx512vnni", "amx")


class Stream(Protocol):
    """What a number of lanes have read, and what comes next in each."""

    frequencies: Frequencies
    """uint32 (lanes, vocabulary): of the next token; each row sums to 2 to the power of ``FREQUENCY_BITS``."""

    def step(self, tokens: NDArray[Any]) -> None:
        """Reads a token for each lane, int (lanes,); a lane whose token is negative stays as it is."""

    def read(self, tokens: NDArray[Any]) -> None:
        """As many steps as ``tokens``, int (steps, lanes), has rows."""


def supported() -> list[str]:
    """The instruction sets of the native code that this processor can run, the best last; none without it."""
    try:
        import charloom._codec as native
    except ImportError:
        return []
    return native.supported()


def chosen_instruction_set() -> str | None:
    """What the environment asks for, None for plain numpy. Raises SettingsError for what is not to be had here."""
    word = os.environ.get(VARIABLE, "auto")
    if word not in _WORDS:
        raise SettingsError(f"{VARIABLE}={word}: choose one of {', '.join(_WORDS)}")
    names = supported()
    if word in _PLAIN or (word == "auto" and not names):
        return None
    if word == "auto":
        return names[-1]
    for name in _SAME_AS.get(word, (word,)):
        if name in names:
            return name
    has = f"it has {', '.join(names)}" if names else "charloom was installed without native code"
    raise SettingsError(f"{VARIABLE}={word}: not to be had here; {has}")


def begin(model: IntegerModel, lanes: int, instruction_set: str | None = None) -> Stream:
    """A stream that has read nothing. instruction_set: instead of what the environment asks for."""
    name = instruction_set or chosen_instruction_set()
    if name in (None, *_PLAIN):
        return _PlainStream(model, lanes)
    return _NativeStream(native_network(model, name), model, lanes)


def native_network(model: IntegerModel, instruction_set: str | None) -> Any:
    """The model as a ``charloom._codec.Network``."""
    import charloom._codec as native

    arrays: list[Any] = []  # kept until they have been read

    def address(array: NDArray[Any] | None) -> int:
        if array is None:
            return 0
        arrays.append(np.ascontiguousarray(array))
        return int(arrays[-1].ctypes.data)

    def matrix(m: IntegerMatrix | None) -> tuple[int, int, int, int]:
        if m is None:
            return (0, 0, 0, 0)
        return (address(m.weights), address(m.multipliers), int(m.shifts[0]), int(m.shifts[1]))

    return native.Network(
        instruction_set or supported()[-1],
        (CELLS.index(model.cell), model.hidden_size, model.vocabulary_size, model.begin_token),
        address(model.token_table),
        [
            (matrix(layer.hidden), matrix(layer.input), address(layer.bias), address(layer.candidate_bias))
            for layer in model.layers
        ],
        matrix(model.output),
        address(model.output_bias),
        address(model.tanh),
        address(model.exp2),
    )


class _PlainStream:
    def __init__(self, model: IntegerModel, lanes: int) -> None:
        self._network = ReferenceNetwork(model)
        self.frequencies, self._state = self._network.begin(lanes)

    def step(self, tokens: NDArray[Any]) -> None:
        active = np.flatnonzero(tokens >= 0)
        frequencies, after = self._network.step(tokens[active], self._state.lanes(active))
        self.frequencies[active] = frequencies
        self._state.replace(active, after)

    def read(self, tokens: NDArray[Any]) -> None:
        for row in tokens:
            self.step(row)


class _NativeStream:
    def __init__(self, network: Any, model: IntegerModel, lanes: int) -> None:
        import charloom._codec as native

        self._stream = native.Stream(network, lanes)
        self.frequencies = np.empty((lanes, model.vocabulary_size), np.uint32)
        self._stream.begin(self.frequencies.ctypes.data)

    def step(self, tokens: NDArray[Any]) -> None:
        self.read(tokens[None])

    def read(self, tokens: NDArray[Any]) -> None:
        tokens = np.ascontiguousarray(tokens, np.int32)
        assert tokens.shape[1:] == self.frequencies.shape[:1]
        self._stream.step(len(tokens), tokens.ctypes.data, self.frequencies.ctypes.data)
