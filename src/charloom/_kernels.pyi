"""The native kernels (``kernels/bindings.cpp``); ``recurrence.kernel_calls`` is their only caller."""

from collections.abc import Sequence

from charloom.recurrence.kernel_arguments import LayerShape, ModelShape

CELLS: dict[str, tuple[int, int]]

class Kernels:
    @property
    def name(self) -> str: ...
    @property
    def max_layers(self) -> int: ...
    def reserve_bytes(self, sizes: LayerShape) -> int: ...
    def layer_forward(
        self,
        sizes: LayerShape,
        *,
        backward_in_time: bool,
        threads: int,
        weights: Sequence[int],
        x: int,
        first_hidden: int,
        first_cell: int,
        y: int,
        last_hidden: int,
        last_cell: int,
        reserve: int,
    ) -> None: ...
    def layer_backward(
        self,
        sizes: LayerShape,
        *,
        backward_in_time: bool,
        threads: int,
        weights: Sequence[int],
        gradients: Sequence[int],
        x: int,
        first_hidden: int,
        first_cell: int,
        reserve: int,
        dy: int,
        d_last_hidden: int,
        d_last_cell: int,
        dx: int,
        d_first_hidden: int,
        d_first_cell: int,
    ) -> None: ...
    def language_model_step(
        self,
        sizes: ModelShape,
        *,
        precision: int,
        steps: int,
        batch: int,
        threads: int,
        ids: int,
        targets: int,
        strides: Sequence[int],
        parameters: Sequence[int],
        gradients: Sequence[int],
        dropout: float,
        layer_dropout: float,
        seed: int,
        first_hidden: int,
        first_cell: int,
        last_hidden: int,
        last_cell: int,
        loss: int,
    ) -> None: ...
    def descend(
        self,
        *,
        gradients: Sequence[int],
        values: Sequence[int],
        sizes: Sequence[int],
        limit: float,
        rate: float,
        threads: int,
    ) -> None: ...
    def generator(self, sizes: ModelShape, *, int8: bool, parameters: Sequence[int]) -> Generator: ...

class Generator:
    def run(
        self,
        *,
        samples: int,
        steps: int,
        greedy: bool,
        exponent: float,
        top_k: int,
        top_p: float,
        forbidden: int,
        draws: int,
        logits: int,
        hidden: int,
        cell: int,
        ids: int,
    ) -> None: ...

def supported() -> list[Kernels]: ...
