"""The recurrent layer that RNN, GRU and LSTM share: ``torch.nn``'s own, with a faster ``forward``."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from charloom.errors import InputError
from charloom.recurrence.dispatch import chosen_kernels, chosen_path, covers
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.kernel_arguments import GATES
from charloom.recurrence.native import native_direction
from charloom.recurrence.scan import RunDirection, scan_direction, scan_layers
from charloom.settings.model import Precision, check_precision
from charloom.shapes import State
from charloom.state import state_of


class RecurrentLayer(nn.RNNBase):
    """A ``torch.nn`` recurrent layer with the same parameters, options, ``state_dict`` and results.

    ``forward`` uses the native kernels for exactly the calls that they cover. All others, those that PyTorch refuses
    among them, go to PyTorch's own ``forward``. docs/how-to/acceleration.md has the table.

    Attributes:
        precision: Precision of the native kernels' products: float32, or bfloat16 with float32 sums and weights (fast
            on processors with AMX or AVX512_BF16).
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
        """Returns the zero state.

        Args:
            batch_size: Sequences in a batch.
            device: The layer's own if None.
            dtype: The layer's own if None.

        Returns:
            A tensor (layers * directions, batch, hidden); for an LSTM a pair of hidden state and memory cell.

        Raises:
            InputError: ``batch_size`` is not a positive int.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size < 2**31:
            raise InputError("it must be an int from 1 to 2**31 - 1", setting="batch_size", value=batch_size)
        weight: Any = next(self.parameters(), self._flat_weights[0])
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            sizes.append(self.hidden_size)
        parts = [
            torch.zeros(layers, batch_size, size, device=device or weight.device, dtype=dtype or weight.dtype)
            for size in sizes
        ]
        return state_of(parts)

    def named_weights(self) -> list[CellWeights] | None:
        """Returns the weights of each layer and direction, read by name, or None if PyTorch would not read them so.

        By name, because ``torch.func.functional_call``, pruning and weight drop replace the attributes, and what they
        put there need not be parameters. PyTorch reads ``_flat_weights`` instead if somebody changed that list and not
        the attributes, or if an attribute is missing. Parametrized weights are computed at each access, perhaps with
        side effects (power iterations, dropout), so that only PyTorch's own number of accesses gives its results.
        """
        if self.proj_size or "parametrizations" in self._modules:
            return None
        names, flat = self._flat_weights_names, self._flat_weights
        mine, parameters = vars(self), self._parameters  # where getattr looks, in a third of its time
        weights: list[Any] = [
            mine[name] if name in mine else parameters[name] if name in parameters else getattr(self, name, None)
            for name in names
        ]
        if any(weight is None for weight in weights) or len(flat) != len(names):
            return None
        same = all(old is new for old, new in zip(flat, weights, strict=True))
        if not same and not self._weights_have_changed():  # type: ignore[no-untyped-call] # torch's
            return None
        if self.bias:
            return [CellWeights._make(weights[i : i + 4]) for i in range(0, len(weights), 4)]
        return [CellWeights._make([*weights[i : i + 2], None, None]) for i in range(0, len(weights), 2)]

    def forward(self, input: Any, hx: Any = None) -> Any:  # noqa: A002 - torch.nn's name
        """Computes outputs and last state, as the ``torch.nn`` layer of the same name.

        Args:
            input: (steps, batch, features), or (batch, steps, features) with ``batch_first``; or whatever else
                PyTorch's layer takes.
            hx: The first state, as ``begin_state`` returns it; zeros if None.

        Returns:
            Outputs (steps, batch, directions * hidden), or batch first, and the last state.
        """
        if isinstance(input, Proxy):  # torch.fx keeps torch.nn's own layers whole
            tracer: Any = input.tracer
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (input, hx), {})
        run_direction, weights = self._native_call(input, hx)
        if run_direction is None:
            # oneDNN reads past the end of an LSTM's weights that are too small; PyTorch's own code refuses them.
            with nullcontext() if self._weights_fit(weights) else torch.backends.mkldnn.flags(enabled=False):
                return super().forward(input, hx)
        inputs = input.transpose(0, 1) if self.batch_first else input
        outputs, last = scan_layers(
            run_direction,
            inputs,
            self._first_state(inputs, hx),
            weights,
            bidirectional=self.bidirectional,
            dropout=self.dropout if self.training else 0.0,
        )
        return outputs.transpose(0, 1) if self.batch_first else outputs, last if self.mode == "LSTM" else last[0]

    def __prepare_scriptable__(self) -> nn.Module:
        """Lets ``torch.jit.script``, which calls this, compile PyTorch's own layer over the same tensors."""
        # TorchScript finds the overloads of forward by the class itself, so that no subclass will do.
        torch_class: Any = next(c for c in type(self).__mro__ if any(c is t for t in (nn.RNN, nn.GRU, nn.LSTM)))
        resume = Resume(self, type(self))
        self.__class__ = torch_class
        self._compiled_call_impl = resume
        return self

    def _native_call(self, inputs: Any, hx: Any) -> tuple[RunDirection | None, list[CellWeights]]:
        """How to run a direction, and the weights; None for PyTorch's own ``forward``."""
        path = chosen_path()
        weights = self.named_weights()
        if weights is None:
            return None, []
        if path != "reference" and chosen_kernels() is None:
            return None, weights
        if not self._arguments_fit(inputs, hx) or not self._weights_fit(weights):
            return None, weights
        if path == "reference":
            return partial(scan_direction, STEPS[self.mode]), weights
        parts = () if hx is None else hx if self.mode == "LSTM" else (hx,)
        if not covers(inputs, *parts, *(t for cell in weights for t in cell if t is not None)):
            return None, weights
        return partial(native_direction, self.mode, self.precision), weights

    def _arguments_fit(self, inputs: Any, hx: Any) -> bool:
        """Tells if input and state have the shapes that the layer's options say; PyTorch refuses the others."""
        if not isinstance(inputs, Tensor) or inputs.dim() != 3 or inputs.shape[2] != self.input_size:
            return False
        if hx is None:
            return True
        if self.mode == "LSTM" and (type(hx) is not tuple or len(hx) != 2):
            return False
        layers = self.num_layers * (2 if self.bidirectional else 1)
        expected = (layers, inputs.shape[0 if self.batch_first else 1], self.hidden_size)
        parts = hx if self.mode == "LSTM" else (hx,)
        return all(isinstance(part, Tensor) and part.shape == expected for part in parts)

    def _weights_fit(self, weights: list[CellWeights]) -> bool:
        """Tells if the weights have the shapes that the layer's options say."""
        directions = 2 if self.bidirectional else 1
        hidden, rows = self.hidden_size, GATES[self.mode] * self.hidden_size
        return all(
            isinstance(cell.input, Tensor)
            and isinstance(cell.hidden, Tensor)
            and cell.input.shape == (rows, self.input_size if i < directions else directions * hidden)
            and cell.hidden.shape == (rows, hidden)
            and all(not self.bias or (isinstance(b, Tensor) and b.shape == (rows,)) for b in cell[2:])
            for i, cell in enumerate(weights)
        )

    def _first_state(self, inputs: Tensor, hx: Any) -> CellState:
        if hx is not None:
            parts: CellState = hx if self.mode == "LSTM" else (hx,)
            return parts
        layers = self.num_layers * (2 if self.bidirectional else 1)
        zeros = inputs.new_zeros(layers, inputs.shape[1], self.hidden_size)
        return (zeros, zeros) if self.mode == "LSTM" else (zeros,)


class Resume:
    """Turns a layer back from the class that ``torch.jit.script`` needs, when it is next called in Python.

    ``torch.jit.script`` changes the model that it is given and tells nobody when it is done. Stands in for
    ``Module.__call__``, as ``Module.compile`` does.
    """

    def __init__(self, layer: nn.Module, layer_class: Any) -> None:
        self._layer, self._class = layer, layer_class
        self._compiled_before = vars(layer).get("_compiled_call_impl")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer that is there again."""
        self.resume()
        return self._layer(*args, **kwargs)

    def resume(self) -> None:
        """Makes the layer what it was."""
        self._layer.__class__ = self._class
        self._layer._compiled_call_impl = self._compiled_before
