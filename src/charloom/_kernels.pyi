"""The native kernels (``kernels/bindings.cpp``); ``recurrence`` is their only caller."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch import Tensor

from charloom.recurrence.kernel_arguments import LayerShape, ModelShape

CELLS: dict[str, tuple[int, int]]

_Argument: TypeAlias = bool | int | float | Sequence[int]
"""By name. An address is 0 for an array that a call does not have."""

class Kernels:
    @property
    def name(self) -> str: ...
    @property
    def max_layers(self) -> int: ...
    def layer_forward(self, sizes: LayerShape, **arguments: _Argument) -> None: ...
    def infer_layers(
        self,
        options: tuple[int, int, int, int, int, bool, bool],
        *,
        threads: int,
        input: Tensor,  # noqa: A002 - torch.nn's name
        batch_sizes: list[int] = ...,
        state: Any,
        resets: Tensor | None,
        weights: list[Any],
        frozen: FrozenWeights | None,
    ) -> tuple[Tensor, Any] | None: ...
    def infer_step(
        self,
        options: tuple[int, int, int, int, int, bool, bool],
        *,
        threads: int,
        ids: Any,
        state: Any,
        weights: list[Any],
        frozen: FrozenWeights | None,
        embedding: Any,
        output: Any,
        output_bias: Any,
    ) -> tuple[Tensor, Any] | None: ...
    def frozen_weights(self) -> FrozenWeights: ...
    def layer_backward(self, sizes: LayerShape, **arguments: _Argument) -> None: ...
    def language_model_step(self, sizes: ModelShape, **arguments: _Argument) -> None: ...
    def descend(self, **arguments: _Argument) -> None: ...
    def generator(self, sizes: ModelShape, *, int8: bool, parameters: Sequence[int]) -> Generator: ...

class FrozenWeights:
    @property
    def tensors(self) -> tuple[Tensor, ...]: ...

class Generator:
    def run(self, **arguments: _Argument) -> None: ...

def supported() -> list[Kernels]: ...
