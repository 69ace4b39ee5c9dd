"""The codec's native code (``kernels/codec/bindings.cpp``): addresses and sizes in; nothing here checks a pointer."""

from collections.abc import Sequence
from typing import TypeAlias

_Matrix: TypeAlias = tuple[int, int, int, int]
_Layer: TypeAlias = tuple[_Matrix, _Matrix, int, int]

class Network:
    def __init__(
        self,
        name: str,
        shape: tuple[int, int, int, int],
        token_table: int,
        layers: Sequence[_Layer],
        output: _Matrix,
        output_bias: int,
        tanh: int,
        exp2: int,
        /,
    ) -> None: ...

class Stream:
    def __init__(self, network: Network, lanes: int, /) -> None: ...
    def begin(self, frequencies: int, /) -> None: ...
    def step(self, steps: int, tokens: int, frequencies: int, /) -> None: ...

def supported() -> list[str]: ...
