"""The native kernels (``kernels/bindings.cpp``); ``recurrence.kernel_calls`` is their only caller."""

from collections.abc import Sequence
from typing import Any

CELLS: dict[str, tuple[int, int]]

class Kernels:
    @property
    def name(self) -> str: ...
    @property
    def max_layers(self) -> int: ...
    def reserve_bytes(self, cell: int, precision: int, steps: int, batch: int, inputs: int, hidden: int, /) -> int: ...
    def layer_forward(self, *sizes_and_addresses: Any) -> None: ...
    def layer_backward(self, *sizes_and_addresses: Any) -> None: ...
    def language_model_step(self, *sizes_and_addresses: Any) -> None: ...
    def descend(
        self,
        gradients: Sequence[int],
        values: Sequence[int],
        sizes: Sequence[int],
        limit: float,
        rate: float,
        threads: int,
        /,
    ) -> None: ...

class Generator:
    def __init__(
        self,
        kernels: Kernels,
        cell: int,
        int8: bool,
        hidden: int,
        layers: int,
        vocabulary: int,
        inputs: int,
        parameters: Sequence[int],
        /,
    ) -> None: ...
    def run(
        self,
        samples: int,
        steps: int,
        sampling: tuple[bool, float, int, float, int],
        draws: int,
        logits: int,
        hidden: int,
        cell: int,
        ids: int,
        /,
    ) -> None: ...

def supported() -> list[Kernels]: ...
