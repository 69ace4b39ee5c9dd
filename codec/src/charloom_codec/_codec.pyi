"""The codec's native code (``codec_bindings.cpp``): addresses and sizes in; nothing here checks a pointer."""

from collections.abc import Sequence
from typing import TypeAlias

CELLS: dict[str, tuple[int, int]]
CORRECTOR_SIZES: tuple[int, ...]

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
        token_bytes: int,
        token_offsets: int,
        /,
    ) -> None: ...

class Corrector:
    def __init__(self, inputs: int, rows: int, output: int, output_bias: int, log_counts: int, /) -> None: ...

class FastSession:
    def __init__(self, network: Network, lanes: int, /) -> None: ...
    def encode(self, data: bytes, /) -> bytes: ...
    def measure(self, data: bytes, /) -> bytes: ...
    def decode(self, payload: bytes, length: int, /) -> bytes: ...

class FastRecords:
    def __init__(self, network: Network, /) -> None: ...
    def encode(self, record: bytes, /) -> bytes: ...
    def decode(self, payload: bytes, limit: int, /) -> bytes: ...

class MixingSession:
    def encode(self, data: bytes, /) -> bytes: ...
    def measure(self, data: bytes, /) -> bytes: ...
    def inspect(self, data: bytes, /) -> bytes: ...
    def decode(self, payload: bytes, length: int, /) -> bytes: ...

class MixingRecords:
    def encode(self, record: bytes, /) -> bytes: ...
    def decode(self, payload: bytes, limit: int, /) -> bytes: ...

class Mixing:
    def __init__(
        self,
        network: Network,
        corrector: Corrector | None,
        full_bits: int,
        light_bits: int,
        text: bytes,
        silent: int,
        records: bool,
    ) -> None: ...
    def session(self, lanes: int, capacity: int, /) -> MixingSession: ...
    def records(self, capacity: int, /) -> MixingRecords: ...

def supported() -> list[str]: ...
