"""The base class of RNN, GRU and LSTM: ``torch.nn``'s recurrent layer with a faster ``forward``."""

import operator
from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.utils.rnn import PackedSequence

from charloom.errors import InputError
from charloom.layers.deferred_restoration import DeferredRestoration
from charloom.layers.packed_sequences import take_packed
from charloom.layers.torch_classes import TORCH_CLASSES, has_torch_forward
from charloom.recurrence.backend import backend, covers
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.frozen_weights import FrozenWeights
from charloom.recurrence.inference import can_infer, infer
from charloom.recurrence.kernel_arguments import PRECISIONS, check_memory, weight_shapes
from charloom.recurrence.native import native_direction
from charloom.recurrence.scan import RunDirection, scan_direction, scan_layers
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.recurrence.torch_internals import without_one_dnn
from charloom.settings.cells import CELL_OF_MODE
from charloom.settings.limits import check_choice
from charloom.settings.model import Precision
from charloom.shapes import State


class RecurrentLayer(nn.RNNBase):
    """A ``torch.nn`` recurrent layer with the same parameters, options, ``state_dict`` and results.

    ``forward`` uses the native kernels for the calls that they cover. PyTorch's own ``forward`` computes all others and
    raises PyTorch's errors. docs/how-to/acceleration.md lists the calls that are covered.

    Attributes:
        precision: Precision of the native kernels' products: float32, or bfloat16 with float32 sums and weights (fast
            on processors with AMX or AVX512_BF16).
        frozen_weights: Packed weights that are kept between calls, set by ``freeze``; None for a layer that is not
            frozen.
    """

    # On the class, not set in __init__: ``accelerate`` changes the class of a layer that has been created already.
    _precision: Precision = "float32"
    frozen_weights: FrozenWeights | None = None

    @property
    def precision(self) -> Precision:
        """Precision of the native kernels' products; see the class."""
        return self._precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        check_choice("precision", precision, Precision)
        self._precision = precision

    def begin_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> State:
        """Returns the zero state.

        Args:
            batch_size: Number of sequences in a batch.
            device: Device of the state; the layer's if None.
            dtype: Dtype of the state; the layer's if None.

        Returns:
            A tensor (layers * directions, batch, hidden); for an LSTM a pair of hidden state and cell state.

        Raises:
            InputError: ``batch_size`` is not an int from 1 to 2**31 - 1, or ``device`` is not a device of PyTorch.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size < 2**31:
            raise InputError("it must be an int from 1 to 2**31 - 1", setting="batch_size", value=batch_size)
        # A layer can be without parameters: weight drop, for example, replaces them with plain tensors.
        weight: Any = next(self.parameters(), self._flat_weights[0])
        try:
            found = weight.device if device is None else torch.device(device)
        except (RuntimeError, TypeError):
            raise InputError("it must be a device of PyTorch, such as cpu", setting="device", value=device) from None
        layers = self.num_layers * (2 if self.bidirectional else 1)
        # A projection (proj_size) applies to the hidden state only, as in torch.nn.LSTM.
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: CELL_OF_MODE[self.mode].state_parts]
        parts = [torch.zeros(layers, batch_size, size, device=found, dtype=dtype or weight.dtype) for size in sizes]
        return tuple_to_state(parts)

    def named_weights(self) -> list[CellWeights] | None:
        """Returns the weights of each layer and direction, read by attribute name.

        Returns None for a layer whose weights PyTorch reads in another way or the kernels do not take.
        """
        names, flat = self._flat_weights_names, self._flat_weights
        # Parametrized weights are computed at each access, perhaps with side effects (power iterations, dropout): only
        # PyTorch's own number of accesses gives its results.
        if self.proj_size or "parametrizations" in self._modules or len(names) != self._num_weights:
            return None
        # By name on every call, because torch.func.functional_call, pruning and weight drop replace the attributes, not
        # always with parameters. The two dictionaries that getattr searches, in a third of its time.
        attributes, parameters = vars(self), self._parameters
        weights: list[Any] = [
            attributes[name]
            if name in attributes
            else parameters[name]
            if name in parameters
            else getattr(self, name, None)
            for name in names
        ]
        # PyTorch reads _flat_weights if that list was changed but no attribute, or if an attribute is missing.
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
            input: (steps, batch, features), or (batch, steps, features) with ``batch_first``; or a ``PackedSequence``
                or any other input of PyTorch's layer.
            hx: Initial state, as ``begin_state`` returns it; zeros if None.

        Returns:
            Outputs (steps, batch, directions * hidden), or batch first or packed, and the last state.
        """
        if can_infer():
            found = self._infer(input, hx)
            if found is not None:
                return found
        weights = self.named_weights()
        packed = take_packed(input)
        inputs, batch_sizes = (input, None) if packed is None else (packed.data, packed.batch_sizes)
        run_direction = None if weights is None else self._native_direction(inputs, batch_sizes, hx, weights)
        if run_direction is None or weights is None:
            for argument in (input, hx, *(hx if isinstance(hx, tuple) else ())):
                if isinstance(argument, Proxy):  # torch.fx does not trace into torch.nn's own layers
                    tracer: Any = argument.tracer
                    options = {} if hx is None else {"hx": hx}
                    return tracer.create_proxy("call_module", tracer.path_of_module(self), (input,), options)
            check_memory(
                *(input if isinstance(input, PackedSequence) else (input,)),
                *(hx if isinstance(hx, tuple) else (hx,)),
                *(self._flat_weights if weights is None else chain(*weights)),
            )
            with nullcontext() if self._suits_one_dnn(weights) else without_one_dnn():
                return super().forward(input, hx)
        if packed is not None:
            hx = None if hx is None else self.permute_hidden(hx, packed.sorted_indices)
        elif self.batch_first:
            inputs = inputs.transpose(0, 1)
        outputs, last = scan_layers(
            run_direction,
            inputs,
            self._first_state(inputs, batch_sizes, hx),
            weights,
            bidirectional=self.bidirectional,
            dropout=self.dropout if self.training else 0.0,
        )
        if packed is not None:
            last_state: Any = tuple_to_state(last)  # torch's annotation is that of a GRU
            return PackedSequence(outputs, *input[1:]), self.permute_hidden(last_state, packed.unsorted_indices)
        return outputs.transpose(0, 1) if self.batch_first else outputs, tuple_to_state(last)

    def train(self, mode: bool = True) -> Any:
        """Sets training or evaluation mode as ``torch.nn``; training mode unfreezes the layer."""
        if mode:
            self.frozen_weights = None
        return super().train(mode)

    def __prepare_scriptable__(self) -> nn.Module:
        """Changes this layer's own class to PyTorch's, in place, and returns the layer, for ``torch.jit.script``.

        ``DeferredRestoration`` restores the class at the layer's next use in Python.
        """
        # TorchScript looks the overloads of forward up by the class itself: a subclass has none.
        DeferredRestoration(self, type(self))
        torch_class: Any = TORCH_CLASSES[self.mode]
        self.__class__ = torch_class
        return self

    @property
    def _num_weights(self) -> int:
        """Number of weight tensors of all layers and directions, including biases and projections."""
        kinds = (4 if self.bias else 2) + (1 if self.proj_size else 0)
        return self.num_layers * (2 if self.bidirectional else 1) * kinds

    def _native_direction(
        self, inputs: Any, batch_sizes: Tensor | None, hx: Any, weights: list[CellWeights]
    ) -> RunDirection | None:
        """Returns the implementation of a direction for a call; None for PyTorch's own ``forward``."""
        path = backend().name
        if path == "pytorch" or not has_torch_forward(self.mode):
            return None
        # Before anything is computed: PyTorch's forward raises its own error for arguments that do not fit.
        if not self._arguments_fit(inputs, batch_sizes, hx) or not self._weights_fit(weights):
            return None
        if path == "reference":
            return partial(scan_direction, STEPS[self.mode], batch_sizes=batch_sizes)
        parts = () if hx is None else state_to_tuple(hx)
        if not covers(inputs, *parts, *(t for cell in weights for t in cell if t is not None)):
            return None
        return partial(native_direction, self.mode, self.precision, path, batch_sizes=batch_sizes)

    def _has_plain_weights(self) -> bool:
        """Returns True if ``_flat_weights`` are the registered parameters: what ``named_weights`` would return."""
        names, flat = self._flat_weights_names, self._flat_weights
        return (
            all(map(operator.is_, flat, map(self._parameters.get, names)))
            and len(flat) == len(names) == self._num_weights
            and vars(self).keys().isdisjoint(names)
            and not self.proj_size
            and "parametrizations" not in self._modules
        )

    def _infer(self, inputs: Any, hx: Any) -> Any:
        """Computes a call that no backward pass follows in one native call.

        Returns:
            Outputs and last state; None, before anything is computed, for a call that ``infer`` does not cover.
        """
        cell = CELL_OF_MODE[self.mode]
        state = hx if hx is None or cell.state_parts > 1 else (hx,)
        # Exactly a tuple: PyTorch's own forward decides about lists and named tuples.
        if state is not None and (type(state) is not tuple or len(state) != cell.state_parts):
            return None
        if (self.dropout and self.training) or not has_torch_forward(self.mode) or type(inputs) is not Tensor:
            return None
        weights: Any = self._flat_weights
        if not self._has_plain_weights():
            cells = self.named_weights()
            if cells is None:
                return None
            weights = [weight for cell_weights in cells for weight in cell_weights if weight is not None]
        time_first = inputs.transpose(0, 1) if self.batch_first and inputs.dim() == 3 else inputs
        precision = PRECISIONS.index(self._precision)
        options = (
            cell.number,
            precision,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bidirectional,
            self.bias,
        )
        found = infer(options, time_first, state, weights, self.frozen_weights)
        if found is None:
            return None
        outputs, last = found
        return outputs.transpose(0, 1) if self.batch_first else outputs, tuple_to_state(last)

    def _suits_one_dnn(self, weights: list[CellWeights] | None) -> bool:
        """Returns False if oneDNN would read past the end of an LSTM's weights."""
        # oneDNN does not check sizes; PyTorch's code without it raises an error.
        if self.mode != "LSTM":
            return True
        if len(self._flat_weights_names) != self._num_weights:
            return False
        return weights is None or self._weights_fit(weights)

    def _arguments_fit(self, inputs: object, batch_sizes: Tensor | None, hx: object) -> bool:
        """Returns True if input and state have the shapes that the layer's options require."""
        if not isinstance(inputs, Tensor) or inputs.is_nested:
            return False
        if inputs.dim() != (3 if batch_sizes is None else 2) or inputs.shape[-1] != self.input_size:
            return False
        if hx is None:
            return True
        parts = hx if CELL_OF_MODE[self.mode].state_parts > 1 else (hx,)
        # Exactly a tuple: PyTorch's own forward decides about lists and named tuples.
        if type(parts) is not tuple or len(parts) != CELL_OF_MODE[self.mode].state_parts:
            return False
        layers = self.num_layers * (2 if self.bidirectional else 1)
        batch = inputs.shape[0 if self.batch_first else 1] if batch_sizes is None else int(batch_sizes[0])
        expected = (layers, batch, self.hidden_size)
        return all(isinstance(part, Tensor) and not part.is_nested and part.shape == expected for part in parts)

    def _weights_fit(self, weights: list[CellWeights]) -> bool:
        """Returns True if the weights have the shapes that the layer's options require."""
        directions = 2 if self.bidirectional else 1
        for i, cell in enumerate(weights):
            inputs = self.input_size if i < directions else directions * self.hidden_size
            shapes = weight_shapes(CELL_OF_MODE[self.mode], inputs, self.hidden_size)
            for weight, shape in zip(cell if self.bias else cell[:2], shapes, strict=False):
                if not isinstance(weight, Tensor) or weight.is_nested or weight.shape != shape:
                    return False
        return True

    def _first_state(self, inputs: Tensor, batch_sizes: Tensor | None, hx: State | None) -> CellState:
        if hx is not None:
            return state_to_tuple(hx)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        batch = inputs.shape[1] if batch_sizes is None else int(batch_sizes[0])
        zeros = inputs.new_zeros(layers, batch, self.hidden_size)
        return (zeros,) * CELL_OF_MODE[self.mode].state_parts
