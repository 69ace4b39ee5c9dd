"""What the three layers share: the state they begin with, and the door to the recurrence."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from charloom.errors import InputError
from charloom.recurrence.dispatch import chosen_kernels, chosen_path, covers
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.native import native_direction
from charloom.recurrence.scan import RunDirection, scan_direction, scan_layers
from charloom.settings.model import Precision, check_precision
from charloom.shapes import State
from charloom.state import parts_of, state_of


class RecurrentLayer(nn.RNNBase):
    """A ``torch.nn`` recurrent layer: same parameters, options and ``state_dict``; only ``forward`` is ours.

    What the chosen path does not cover (packed or unbatched inputs, projections) is PyTorch's to compute, so that the
    layer is a drop-in on every device.

    Attributes:
        precision: What the native kernels multiply: float32, or bfloat16 with float32 sums and weights (fast on
            processors with AMX or AVX512_BF16).
    """

    _precision: Precision = "float32"

    @property
    def precision(self) -> Precision:
        """See the class."""
        return self._precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        check_precision(precision)
        self._precision = precision

    def begin_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """The zero state.

        Returns (layers, batch, hidden), layers counted once for each direction; for an LSTM a pair of hidden state
        and memory cell. On the layer's own device and in its dtype unless told otherwise.
        """
        if batch_size < 1:
            raise InputError("it must be at least 1", setting="batch_size", value=batch_size)
        weight: Tensor = self.weight_ih_l0  # type: ignore[assignment] # a Tensor by construction
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            sizes.append(self.hidden_size)
        parts = [
            torch.zeros(layers, batch_size, size, device=device or weight.device, dtype=dtype or weight.dtype)
            for size in sizes
        ]
        return state_of(parts)

    def parameters_in_order(self) -> list[Tensor | None]:
        """Of each layer (and direction) the input weights, hidden weights, input bias and hidden bias."""
        if self.bias:
            return list(self._flat_weights)
        return [tensor for weights in self._cell_weights() for tensor in weights]

    def forward(self, input: Any, hx: Any = None) -> Any:  # noqa: A002 - torch.nn's name
        """As the ``torch.nn`` layer of the same name.

        input: (steps, batch, features), or (batch, steps, features) with ``batch_first``; hx: as ``begin_state``
        gives it, zeros where absent. Returns (outputs, last state).
        """
        run_direction = self._run_direction(input, hx)
        if run_direction is None:
            return super().forward(input, hx)
        return self._run(run_direction, input, hx)

    def _run_direction(self, inputs: Any, hx: Any) -> RunDirection | None:
        """How to run a direction; None for PyTorch's own way."""
        if isinstance(inputs, PackedSequence) or inputs.dim() != 3 or self.proj_size:
            return None
        if chosen_path() == "reference":
            return partial(scan_direction, STEPS[self.mode])
        if chosen_kernels() is None:
            return None
        state = () if hx is None else parts_of(hx)
        if not covers(inputs, *state, *self.parameters()):
            return None
        return partial(native_direction, self.mode, self.precision)

    def _run(self, run_direction: RunDirection, inputs: Tensor, hx: Any) -> tuple[Tensor, Any]:
        if self.batch_first:
            inputs = inputs.transpose(0, 1)
        if hx is None:
            hx = self.begin_state(inputs.shape[1], device=inputs.device, dtype=inputs.dtype)
        state: CellState = parts_of(hx)
        # RNNBase checks sizes and batch of both; its cells would otherwise broadcast a wrong state silently.
        self.check_forward_args(inputs.transpose(0, 1) if self.batch_first else inputs, hx, None)
        outputs, last = scan_layers(
            run_direction,
            inputs,
            state,
            self._cell_weights(),
            bidirectional=self.bidirectional,
            dropout=self.dropout if self.training else 0.0,
        )
        if self.batch_first:
            outputs = outputs.transpose(0, 1)
        return outputs, last if self.mode == "LSTM" else last[0]

    def _cell_weights(self) -> list[CellWeights]:
        flat: list[Any] = self._flat_weights
        if self.bias:
            return [CellWeights(flat[i], flat[i + 1], flat[i + 2], flat[i + 3]) for i in range(0, len(flat), 4)]
        return [CellWeights(flat[i], flat[i + 1], None, None) for i in range(0, len(flat), 2)]
