"""The recurrent layer that RNN, GRU and LSTM share: ``torch.nn``'s own, with a faster ``forward``."""

from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from charloom.errors import InputError
from charloom.recurrence.backend import backend, covers
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.kernel_arguments import dense_address, weight_shapes
from charloom.recurrence.native import native_direction
from charloom.recurrence.scan import RunDirection, scan_direction, scan_layers
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.recurrence.torch_internals import is_observed, is_wrapped, without_one_dnn
from charloom.settings.cells import CELL_OF_MODE, CELLS
from charloom.settings.model import Precision, check_precision
from charloom.shapes import State


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
            InputError: ``batch_size`` is not a positive int, or ``device`` is none.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size < 2**31:
            raise InputError("it must be an int from 1 to 2**31 - 1", setting="batch_size", value=batch_size)
        try:
            torch.device(device or "cpu")
        except (RuntimeError, TypeError):
            raise InputError("it must be a device of PyTorch, such as cpu", setting="device", value=device) from None
        weight: Any = next(self.parameters(), self._flat_weights[0])
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: CELL_OF_MODE[self.mode].state_parts]
        parts = [
            torch.zeros(layers, batch_size, size, device=device or weight.device, dtype=dtype or weight.dtype)
            for size in sizes
        ]
        return tuple_to_state(parts)

    def named_weights(self) -> list[CellWeights] | None:
        """Returns the weights of each layer and direction, read by name, or None if PyTorch would not read them so.

        By name, because ``torch.func.functional_call``, pruning and weight drop replace the attributes, and what they
        put there need not be parameters. PyTorch reads ``_flat_weights`` instead if somebody changed that list and not
        the attributes, or if an attribute is missing. Parametrized weights are computed at each access, perhaps with
        side effects (power iterations, dropout), so that only PyTorch's own number of accesses gives its results.
        """
        names, flat = self._flat_weights_names, self._flat_weights
        if self.proj_size or "parametrizations" in self._modules or len(names) != self._num_weights:
            return None
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
        weights = self.named_weights()
        run_direction = None if weights is None else self._native_direction(input, hx, weights)
        if run_direction is None or weights is None:
            for argument in (input, hx, *(hx if isinstance(hx, tuple) else ())):
                if isinstance(argument, Proxy):  # torch.fx keeps torch.nn's own layers whole
                    tracer: Any = argument.tracer
                    options = {} if hx is None else {"hx": hx}
                    return tracer.create_proxy("call_module", tracer.path_of_module(self), (input,), options)
            _check_memory(
                input,
                *(hx if isinstance(hx, tuple) else (hx,)),
                *(self._flat_weights if weights is None else chain(*weights)),
            )
            with nullcontext() if self._suits_one_dnn(weights) else without_one_dnn():
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
        return outputs.transpose(0, 1) if self.batch_first else outputs, tuple_to_state(last)

    def __prepare_scriptable__(self) -> nn.Module:
        """Lets ``torch.jit.script``, which calls this, compile PyTorch's own layer over the same tensors."""
        # TorchScript finds the overloads of forward by the class itself, so that no subclass will do.
        Resume(self, type(self))
        torch_class: Any = _TORCH_CLASSES[self.mode]
        self.__class__ = torch_class
        return self

    @property
    def _state_parts(self) -> int:
        return CELL_OF_MODE[self.mode].state_parts

    @property
    def _num_weights(self) -> int:
        kinds = (4 if self.bias else 2) + (1 if self.proj_size else 0)
        return self.num_layers * (2 if self.bidirectional else 1) * kinds

    def _native_direction(self, inputs: Any, hx: Any, weights: list[CellWeights]) -> RunDirection | None:
        """Chooses a way to run a direction; None for PyTorch's own ``forward``."""
        path = backend().name
        if path == "pytorch" or not has_torch_forward(self.mode):
            return None
        if not self._arguments_fit(inputs, hx) or not self._weights_fit(weights):
            return None
        if path == "reference":
            return partial(scan_direction, STEPS[self.mode])
        parts = () if hx is None else state_to_tuple(hx)
        if not covers(inputs, *parts, *(t for cell in weights for t in cell if t is not None)):
            return None
        return partial(native_direction, self.mode, self.precision, path)

    def _suits_one_dnn(self, weights: list[CellWeights] | None) -> bool:
        """False if oneDNN would read past the end of an LSTM's weights; PyTorch's own code refuses these."""
        if self.mode != "LSTM":
            return True
        if len(self._flat_weights_names) != self._num_weights:
            return False
        return weights is None or self._weights_fit(weights)

    def _arguments_fit(self, inputs: object, hx: object) -> bool:
        """Tells if input and state have the shapes that the layer's options say; PyTorch refuses the others."""
        if not isinstance(inputs, Tensor) or inputs.is_nested:
            return False
        if inputs.dim() != 3 or inputs.shape[2] != self.input_size:
            return False
        if hx is None:
            return True
        parts = hx if self._state_parts > 1 else (hx,)
        if type(parts) is not tuple or len(parts) != self._state_parts:
            return False
        layers = self.num_layers * (2 if self.bidirectional else 1)
        expected = (layers, inputs.shape[0 if self.batch_first else 1], self.hidden_size)
        return all(isinstance(part, Tensor) and not part.is_nested and part.shape == expected for part in parts)

    def _weights_fit(self, weights: list[CellWeights]) -> bool:
        """Tells if the weights have the shapes that the layer's options say."""
        directions = 2 if self.bidirectional else 1
        for i, cell in enumerate(weights):
            inputs = self.input_size if i < directions else directions * self.hidden_size
            shapes = weight_shapes(CELL_OF_MODE[self.mode], inputs, self.hidden_size)
            for weight, shape in zip(cell if self.bias else cell[:2], shapes, strict=False):
                if not isinstance(weight, Tensor) or weight.is_nested or weight.shape != shape:
                    return False
        return True

    def _first_state(self, inputs: Tensor, hx: State | None) -> CellState:
        if hx is not None:
            return state_to_tuple(hx)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        zeros = inputs.new_zeros(layers, inputs.shape[1], self.hidden_size)
        return (zeros,) * self._state_parts


_TORCH_CLASSES: dict[str, type[nn.RNNBase]] = {cell.mode: getattr(nn, cell.layer) for cell in CELLS}
_TORCH_FORWARDS = {mode: torch_class.forward for mode, torch_class in _TORCH_CLASSES.items()}


def has_torch_forward(mode: str) -> bool:
    """False if somebody has put another ``forward`` in the place of a class's of ``torch.nn``: it is to be called."""
    return _TORCH_CLASSES[mode].forward is _TORCH_FORWARDS[mode]


def _check_memory(*arguments: object) -> None:
    """Raises RuntimeError for a tensor whose memory has been freed or shrunk: PyTorch may read beyond it, or crash."""
    if torch.compiler.is_compiling() or is_observed():
        return
    for tensor in arguments:
        if not isinstance(tensor, Tensor) or type(tensor) not in (Tensor, nn.Parameter) or is_wrapped(tensor):
            continue
        if not tensor.is_cpu or tensor.layout is not torch.strided or tensor.is_nested or tensor.is_neg():
            continue
        if tensor.numel() and not dense_address(tensor, tensor.dtype):
            raise RuntimeError(
                f"the memory of a tensor {tuple(tensor.shape)} that a recurrent layer reads has been freed or shrunk"
            )


class Resume:
    """Turns a layer back from the class that ``torch.jit.script`` needs, when it is next used in Python.

    ``torch.jit.script`` changes the model that it is given and tells nobody when it is done. Until then the layer has
    members of its own: in the place of ``Module.__call__``, as ``Module.compile`` does; for what charloom's class has;
    and for copies, which would stay PyTorch's.
    """

    def __init__(self, layer: RecurrentLayer, layer_class: type[RecurrentLayer]) -> None:
        self._layer, self._class = layer, layer_class
        self._compiled_before = vars(layer).get("_compiled_call_impl")
        self._members = {name: partial(self._use, name) for name in ("begin_state", "__reduce_ex__")}
        vars(layer).update(self._members, _compiled_call_impl=self, precision=vars(layer).get("_precision", "float32"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer that is there again."""
        return self._use("__call__", *args, **kwargs)

    def _use(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.resume()
        return getattr(self._layer, name)(*args, **kwargs)

    def resume(self) -> None:
        """Makes the layer what it was, with a precision that has been set meanwhile."""
        layer = self._layer
        if vars(layer).get("_compiled_call_impl") is self:
            layer._compiled_call_impl = self._compiled_before
        for name in self._members:
            vars(layer).pop(name, None)
        layer.__class__ = self._class
        precision = vars(layer).pop("precision", layer.precision)
        if precision != layer.precision:
            layer.precision = precision
