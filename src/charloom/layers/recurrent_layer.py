"""The base class of RNN, GRU and LSTM: ``torch.nn``'s recurrent layer with a faster ``forward``."""

from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.utils.rnn import PackedSequence

from charloom.errors import InputError
from charloom.layers.argument_shapes import arguments_fit, check_arguments, checked_resets, state_shapes, weights_fit
from charloom.layers.deferred_restoration import DeferredRestoration
from charloom.layers.inference_arguments import inference_arguments
from charloom.layers.packed_sequences import take_packed
from charloom.layers.read_weights import named_weights, num_weights, suits_one_dnn, weights_by_cell
from charloom.layers.torch_classes import TORCH_CLASSES, has_torch_forward
from charloom.recurrence.backend import backend, covers
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.frozen_weights import FrozenWeights
from charloom.recurrence.inference import can_infer, infer
from charloom.recurrence.kernel_arguments import check_memory
from charloom.recurrence.native import native_direction
from charloom.recurrence.scan import RunDirection, scan_direction, scan_layers
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.recurrence.torch_internals import hidden_from_compiler, without_one_dnn
from charloom.settings.limits import check_choice
from charloom.settings.model import LayerPrecision
from charloom.shapes import State
from charloom_codec.cells import CELL_OF_MODE


class RecurrentLayer(nn.RNNBase):
    """A ``torch.nn`` recurrent layer with the same parameters, options, ``state_dict`` and results.

    ``forward`` uses the native kernels for the calls that they cover. PyTorch's own ``forward`` computes all others and
    raises PyTorch's errors, except calls with ``resets``, for which the reference implementation evaluates the
    equations step by step. docs/how-to/acceleration.md lists the calls that are covered.

    Attributes:
        precision: Precision of the native kernels' products: float32; bfloat16 with float32 sums and weights (fast on
            processors with AMX or AVX512_BF16); or int8 in calls without gradients (others compute in float32), with
            a scale for each row of the weights and one for each row of inputs and hidden states. ``freeze`` keeps the
            rounded weights; without it, each call rounds them.
        frozen_weights: Packed weights that are kept between calls, set by ``freeze``; None for a layer that is not
            frozen.
    """

    # On the class, not set in __init__: ``accelerate`` changes the class of a layer that has been created already.
    _precision: LayerPrecision = "float32"
    frozen_weights: FrozenWeights | None = None

    @property
    def precision(self) -> LayerPrecision:
        """Precision of the native kernels' products; see the class."""
        return self._precision

    @precision.setter
    def precision(self, precision: LayerPrecision) -> None:
        check_choice("precision", precision, LayerPrecision)
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
            raise InputError("it must be a PyTorch device, such as cpu", setting="device", value=device) from None
        shapes = state_shapes(self, batch_size)
        return tuple_to_state(torch.zeros(shape, device=found, dtype=dtype or weight.dtype) for shape in shapes)

    # By default, torch.compile breaks its graph at every layer of torch.nn's recurrent classes and would compile this
    # function alone, slower than it runs uncompiled. With ``torch._dynamo.config.allow_rnn``, it traces the calls in
    # spite of this mark, as a part of the caller's graph.
    @hidden_from_compiler
    def forward(self, input: Any, hx: Any = None, *, resets: Any = None) -> Any:  # noqa: A002 - torch.nn's name
        """Computes outputs and last state, as the ``torch.nn`` layer of the same name.

        Args:
            input: (steps, batch, features), or (batch, steps, features) with ``batch_first``; or a ``PackedSequence``
                or any other input of PyTorch's layer.
            hx: Initial state, as ``begin_state`` returns it; zeros if None.
            resets: charloom's addition to ``torch.nn``: True for the first step of a new sequence within a row. No
                state passes between it and the step before it in time, in either direction. Bool (steps, batch), or
                batch first; None for no resets. Not for packed sequences and projections (``proj_size``).

        Returns:
            Outputs (steps, batch, directions * hidden), or batch first or packed, and the last state.

        Raises:
            InputError: ``resets`` do not fit the input.
        """
        if can_infer():
            found = self._infer(input, hx, resets)
            if found is not None:
                return found
        for argument in (input, hx, resets, *(hx if isinstance(hx, tuple) else ())):
            if isinstance(argument, Proxy):  # torch.fx does not trace into torch.nn's own layers
                tracer: Any = argument.tracer
                options = {name: given for name, given in (("hx", hx), ("resets", resets)) if given is not None}
                return tracer.create_proxy("call_module", tracer.path_of_module(self), (input,), options)
        if resets is not None:
            resets = checked_resets(self, input, resets)
            hx = tuple(hx) if isinstance(hx, list) else hx  # which PyTorch accepts for an LSTM
        weights = named_weights(self)
        packed = take_packed(input)
        inputs, batch_sizes = (input, None) if packed is None else (packed.data, packed.batch_sizes)
        run_direction = None if weights is None else self._find_run_direction(inputs, batch_sizes, resets, hx, weights)
        if run_direction is None or weights is None:
            # PyTorch does not check this, and would read past the end of the memory.
            check_memory(
                *(input if isinstance(input, PackedSequence) else (input,)),
                *(hx if isinstance(hx, tuple) else (hx,)),
                *(self._flat_weights if weights is None else chain(*weights)),
            )
            if resets is None:
                with nullcontext() if suits_one_dnn(self, weights) else without_one_dnn():
                    return super().forward(input, hx)
            run_direction, weights = self._make_reference_direction(inputs, hx, resets)
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
            return self._to_packed(outputs, tuple_to_state(last), input)
        return self._order_outputs(outputs), tuple_to_state(last)

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

    def _find_run_direction(
        self, inputs: Any, batch_sizes: Tensor | None, resets: Tensor | None, hx: Any, weights: list[CellWeights]
    ) -> RunDirection | None:
        """Returns the backend's implementation of a direction, bound to a call; None if it does not cover the call."""
        path = backend().name
        if path == "pytorch" or not has_torch_forward(self.mode):
            return None
        # Before anything is computed: PyTorch's forward raises its own error for arguments that do not fit.
        if not arguments_fit(self, inputs, batch_sizes, hx) or not weights_fit(self, weights):
            return None
        if path == "reference":
            return partial(scan_direction, STEPS[self.mode], batch_sizes=batch_sizes, resets=resets)
        parts = () if hx is None else state_to_tuple(hx)
        if not covers(inputs, *parts, *(t for cell in weights for t in cell if t is not None)):
            return None
        if resets is not None and type(resets) is not Tensor:  # a subclass may be anything
            return None
        return partial(native_direction, self.mode, self.precision, path, batch_sizes=batch_sizes, resets=resets)

    def _make_reference_direction(self, inputs: Any, hx: Any, resets: Tensor) -> tuple[RunDirection, list[CellWeights]]:
        """Returns the reference implementation and the weights for a call with resets that the kernels do not cover.

        Raises InputError if the arguments do not fit, or the layer has ``proj_size``.
        """
        if self.proj_size:
            raise InputError("resets are not available for a layer with proj_size")
        # The equations would broadcast a state of batch size 1.
        check_arguments(self, inputs, hx)
        self._update_flat_weights()  # of parametrized weights, too
        weights = weights_by_cell(self, self._flat_weights)
        if len(self._flat_weights) != num_weights(self) or not weights_fit(self, weights):
            raise InputError("the weights do not have the shapes that the layer's options require")
        return partial(scan_direction, STEPS[self.mode], resets=resets), weights

    def _infer(self, inputs: Any, hx: Any, resets: Any) -> Any:
        """Computes a call that no backward pass follows in one native call.

        Returns:
            Outputs and last state; None, before anything is computed, for a call that ``infer`` does not cover.
        """
        arguments = inference_arguments(self)
        if arguments is None:
            return None
        options, weights = arguments
        given, packed, batch_sizes = inputs, None, None
        if type(inputs) is PackedSequence:
            packed = take_packed(inputs)
            # Shapes are checked before the state is permuted, which would raise an index error.
            if packed is None or resets is not None or not arguments_fit(self, packed.data, packed.batch_sizes, hx):
                return None
            hx = None if hx is None else self.permute_hidden(hx, packed.sorted_indices)
            inputs, batch_sizes = packed.data, packed.batch_sizes.tolist()
        elif self.batch_first:
            # A view, which ``infer`` copies only if the batch has several sequences.
            if type(inputs) not in (Tensor, nn.Parameter) or inputs.dim() != 3:
                return None
            inputs = inputs.transpose(0, 1)
            resets = resets.t() if isinstance(resets, Tensor) and resets.dim() == 2 else resets
        found = infer(options, inputs, hx, weights, resets, self.frozen_weights, batch_sizes)
        if found is None:
            return None
        outputs, last = found
        if packed is not None:
            return self._to_packed(outputs, last, given)
        return self._order_outputs(outputs), last

    def _order_outputs(self, outputs: Tensor) -> Tensor:
        """Returns outputs (steps, batch, features) in the order of the layer."""
        if not self.batch_first:
            return outputs
        # As in PyTorch, the outputs of an LSTM are a view, which some operations refuse to change in place.
        return outputs.transpose(0, 1) if self.mode == "LSTM" else outputs.transpose_(0, 1)

    def _to_packed(self, outputs: Tensor, last: Any, packed: PackedSequence) -> tuple[PackedSequence, State]:
        """Returns outputs and last state of a packed batch in the form and order of its input."""
        return PackedSequence(outputs, *packed[1:]), self.permute_hidden(last, packed.unsorted_indices)

    def _first_state(self, inputs: Tensor, batch_sizes: Tensor | None, hx: State | None) -> CellState:
        if hx is not None:
            return state_to_tuple(hx)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        batch = inputs.shape[1] if batch_sizes is None else int(batch_sizes[0])
        zeros = inputs.new_zeros(layers, batch, self.hidden_size)
        return (zeros,) * CELL_OF_MODE[self.mode].state_parts
