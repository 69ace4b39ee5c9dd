"""The native kernels (``kernels/bindings.cpp``): addresses and sizes in; nothing here checks a pointer."""

from collections.abc import Sequence

PADDING: int

class Kernels:
    @property
    def name(self) -> str: ...
    @property
    def max_layers(self) -> int: ...
    def reserve_bytes(self, shape: Sequence[int], /) -> int: ...
    def layer_forward(self, shape: Sequence[int], weights: Sequence[int], /, *addresses: int) -> None: ...
    def layer_backward(
        self, shape: Sequence[int], weights: Sequence[int], gradients: Sequence[int], /, *addresses: int
    ) -> None: ...
    def language_model_step(
        self,
        shape: Sequence[int],
        ids: int,
        targets: int,
        strides: Sequence[int],
        parameters: Sequence[int],
        gradients: Sequence[int],
        dropout: float,
        layer_dropout: float,
        seed: int,
        /,
        *state: int,
    ) -> float: ...
    def clip_gradients(self, arrays: Sequence[int], sizes: Sequence[int], limit: float, /) -> float: ...

class Generator:
    def __init__(self, kernels: Kernels, shape: Sequence[int], parameters: Sequence[int], /) -> None: ...
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
