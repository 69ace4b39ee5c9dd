"""One layer in one direction, computed by native kernels: a PyTorch operator for autograd and ``torch.compile``.

The operator is ``charloom::recurrence``; ``scan.scan_direction`` is its reference. For the loss of a language model,
``native_step`` is faster: it needs one native call for all layers.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, library

from charloom.recurrence import kernel_calls
from charloom.recurrence.backend import kernels_named
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.kernel_arguments import KernelArgumentError, LayerShape, OptionalTensors, training_precision
from charloom.recurrence.scan import scan_direction
from charloom.recurrence.torch_internals import (
    hidden_from_compiler,
    is_batched,
    is_differentiated,
    is_observed,
    keeps_graph,
    version_of,
)
from charloom.settings.model import LayerPrecision
from charloom_codec.cells import CELL_OF_MODE, CELLS

_library: Any = library.Library("charloom", "DEF")  # type: ignore[no-untyped-call] # torch's
_library.define(
    "recurrence(Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, "
    "Tensor? batch_sizes, Tensor? resets, int cell, int precision, bool backward_in_time, str kernels, bool keep) "
    "-> (Tensor, Tensor, Tensor, Tensor)"
)
_library.define(
    "recurrence_backward(Tensor dy, Tensor dh, Tensor dc, Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, "
    "Tensor? b_ih, Tensor? b_hh, Tensor reserve, Tensor? batch_sizes, Tensor? resets, int cell, int precision, "
    "bool backward_in_time, str kernels) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def native_direction(
    mode: str,
    precision: LayerPrecision,
    kernels: str,
    inputs: Tensor,
    state: CellState,
    weights: CellWeights,
    backward_in_time: bool = False,
    *,
    batch_sizes: Tensor | None = None,
    resets: Tensor | None = None,
) -> tuple[Tensor, CellState]:
    """Runs one layer in one direction as ``scan.scan_direction`` does, forward and backward by native kernels.

    Args:
        mode: ``torch.nn.RNNBase.mode`` of the cell.
        precision: Precision of the matrix products; float32 for int8.
        kernels: Instruction set of the kernels, as ``backend().name``; ``covers`` must be true for the tensors.
        inputs: (steps, batch, features), or (rows, features) with ``batch_sizes``.
        state: Initial state, tensors (batch, hidden).
        weights: Weights of the layer in this direction.
        backward_in_time: Read the inputs from the last to the first.
        batch_sizes: Batch size of each step of a packed batch, int64 (steps,): positive, descending from the batch size
            of the state, with the number of rows as their sum; not changed afterwards. None for a padded batch.
        resets: Resets, bool (steps, batch), as in ``scan_direction``; not changed afterwards.

    Returns:
        The hidden states in the order of the inputs, (..., hidden), and the state of each row after its step read last.

    Raises:
        ValueError: ``batch_sizes`` do not fit the inputs and the state.
    """
    h, c = state[0], state[1] if len(state) == 2 else None
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *state, *weights) if t is not None)
    if CELL_OF_MODE[mode].backward_reads_state and keep and not weights.hidden.requires_grad:
        # torch.nn allows the state to change before the backward pass; these kernels read it again there.
        h = h.clone()
    options = CELL_OF_MODE[mode].number, training_precision(precision), backward_in_time, kernels, keep
    # Only the graphs of torch.compile need the operator. Without it a small call takes three quarters of the time.
    run: Any = (
        torch.ops.charloom.recurrence if torch.compiler.is_compiling() else _Recurrence.apply if keep else _forward
    )
    # Made contiguous here, so that autograd saves the copy: a later change of the original has no effect on it.
    y, last_h, last_c, _ = run(inputs.contiguous(), h, c, *weights, batch_sizes, resets, *options)
    return y, (last_h,) if c is None else (last_h, last_c)


@hidden_from_compiler
def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    """Implements the operator; the arguments are in its order."""
    *arguments_of_both, keep = arguments
    call = _call(arguments_of_both[:7], *arguments_of_both[7:])
    y, last_h, last_c, reserve = kernel_calls.layer_forward(call, keep)
    last_c = y.new_empty(0) if last_c is None else last_c  # the operator's schema has no optional results
    return y, last_h, last_c, y.new_empty(0, dtype=torch.uint8) if reserve is None else reserve


@hidden_from_compiler
def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Implements the backward operator; the arguments are in its order."""
    # The schema declares no mutation, so that torch.compile may reuse the reserve: a copy is overwritten instead.
    upstream, inputs, (reserve, *options) = arguments[:3], arguments[3:10], arguments[10:]
    gradients = _consuming_backward(upstream, inputs, reserve.clone(), True, *options)
    none = reserve.new_empty(0, dtype=torch.float32)
    return tuple(none if g is None else g for g in gradients)


@hidden_from_compiler
def _consuming_backward(
    upstream: tuple[Tensor, Tensor, Tensor], inputs: OptionalTensors, reserve: Tensor, needs_dx: bool, *options: Any
) -> list[Tensor | None]:
    """Computes the gradients of x to b_hh, None for those of None or not needed; overwrites the reserve."""
    dy, dh, dc = (gradient.contiguous() for gradient in upstream)
    return kernel_calls.layer_backward(_call(inputs, *options), reserve, (dy, dh, dc), needs_dx)


def _call(
    inputs: OptionalTensors,
    batch_sizes: Tensor | None,
    resets: Tensor | None,
    cell: int,
    precision: int,
    backward_in_time: bool,
    kernels: str,
) -> kernel_calls.LayerCall:
    x, h, c, *weights = (None if t is None else t.contiguous() for t in inputs)
    assert x is not None
    assert h is not None
    shape = _shape(x, h, batch_sizes, cell, precision)
    return kernel_calls.LayerCall(
        kernels_named(kernels), shape, backward_in_time, x, h, c, weights, batch_sizes, resets
    )


def _shape(x: Tensor, h: Tensor, batch_sizes: Tensor | None, cell: int, precision: int) -> LayerShape:
    steps, packed_rows = (x.shape[0], 0) if batch_sizes is None else (batch_sizes.shape[0], x.shape[0])
    return LayerShape(cell, precision, steps, h.shape[0], x.shape[-1], h.shape[1], packed_rows)


def _forward_shapes(x: Tensor, h: Tensor, c: Tensor | None, *arguments: Any) -> tuple[Tensor, ...]:
    *_, batch_sizes, _resets, cell, precision, _backward_in_time, _kernels, keep = arguments
    shape = _shape(x, h, batch_sizes, cell, precision)
    y = x.new_empty(shape.output)
    reserve = x.new_empty(shape.reserve if keep else 0, dtype=torch.uint8)
    return y, h.new_empty(h.shape), x.new_empty(0) if c is None else c.new_empty(c.shape), reserve


def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    x = arguments[3]
    return tuple(x.new_empty(0 if t is None else t.shape) for t in arguments[3:10])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    (x, h, c, *weights), (*rows, cell, precision, backward_in_time, kernels, _) = inputs[:7], inputs[7:]
    w_ih, w_hh = weights[:2]
    # As in torch.nn, tensors that first derivatives do not read may change before the backward pass: they are not
    # saved, because autograd raises an error for a saved tensor that has changed.
    needs_h = w_hh.requires_grad or CELLS[cell].backward_reads_state
    needed = w_ih.requires_grad, needs_h, True, x.requires_grad, True, False, False
    # Detached, so that backward reads the memory that forward read, even after `weight.data = another`.
    memory = [x if x.requires_grad else x.detach(), h, c, *(None if w is None else w.detach() for w in weights)]
    ctx.save_for_backward(output[3], *(t if kept else None for t, kept in zip(memory, needed, strict=True)))
    ctx.unsaved = [None if kept else _Unsaved.of(t, t) for t, kept in zip((x, h, c), needed, strict=False)]
    ctx.unsaved += map(_Unsaved.of, weights, memory[3:])
    ctx.options = *rows, cell, precision, backward_in_time, kernels
    # None for an output without gradient: if no output has one, _differentiate has nothing to compute.
    ctx.set_materialize_grads(False)


class _Recurrence(torch.autograd.Function):
    """The operator for eager mode, which calls the kernels without the dispatcher."""

    @staticmethod
    @hidden_from_compiler
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        outputs = _forward(*inputs)
        _save(ctx, inputs, outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        return _differentiate(ctx, *upstream)


class _Unsaved(NamedTuple):
    """A tensor that only second derivatives read, with the means to detect that it has changed.

    Attributes:
        tensor: The tensor that was passed to forward.
        memory: An alias of the memory that forward read, even after ``tensor.data`` is replaced.
        version: Version counter at forward; None for a tensor without one, as in inference mode.
    """

    tensor: Tensor | None
    memory: Tensor | None
    version: int | None

    @classmethod
    def of(cls, tensor: Tensor | None, memory: Tensor | None) -> "_Unsaved":
        return cls(tensor, memory, None if tensor is None else version_of(tensor))

    def may_have_changed(self) -> bool:
        if self.tensor is None or self.memory is None:
            return False
        swapped = self.tensor is not self.memory and not self.tensor.is_set_to(self.memory)
        return swapped or self.version is None or self.version != version_of(self.tensor)


def _differentiate(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
    reserve, *saved = ctx.saved_tensors
    if all(gradient is None for gradient in given):
        return (None,) * 14
    inputs = [u.memory if t is None and u else t for t, u in zip(saved, ctx.unsaved, strict=True)]
    upstream = _fill_missing_gradients(inputs[0], inputs[1], *given)
    # While torch.compile traces the backward pass, tensors are of a subclass; its graph must contain the operator.
    if type(reserve) is not Tensor and not torch.is_grad_enabled():
        gradients: Sequence[Any] = torch.ops.charloom.recurrence_backward(*upstream, *inputs, reserve, *ctx.options)
    elif torch.is_grad_enabled() or is_observed() or any(map(is_batched, upstream)):
        gradients = _differentiable_gradients(ctx, saved, upstream)
    else:
        if keeps_graph():  # otherwise the reserve is not read again and can be overwritten
            reserve = reserve.clone()
        try:
            gradients = _consuming_backward(upstream, inputs, reserve, ctx.needs_input_grad[0], *ctx.options)
        except KernelArgumentError:  # an upstream gradient may be of a subclass of Tensor
            gradients = _differentiable_gradients(ctx, saved, upstream)
    return (*(None if t is None else g for t, g in zip(inputs, gradients, strict=True)), *[None] * 7)


def _fill_missing_gradients(
    x: Tensor, h: Tensor, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None, _: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the upstream gradients of y, h and c, zeros for those that are None."""
    dy = x.new_zeros((*x.shape[:-1], h.shape[1])) if dy is None else dy
    dh = torch.zeros_like(h) if dh is None else dh
    return dy, dh, torch.zeros_like(h) if dc is None else dc  # only an LSTM's is read


def _differentiable_gradients(
    ctx: Any, saved: Sequence[Tensor | None], upstream: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """Computes the gradients from the equations: differentiable, and for tensors that the kernels do not take."""
    if any(unsaved is not None and unsaved.may_have_changed() for unsaved in ctx.unsaved):
        raise RuntimeError(
            "an input or a weight of a recurrent layer was changed in place after forward: second derivatives cannot "
            "be computed"
        )
    batch_sizes, resets, cell, _, backward_in_time, _ = ctx.options
    run = partial(scan_direction, STEPS[CELLS[cell].mode], batch_sizes=batch_sizes, resets=resets)
    inputs = [t if unsaved is None else unsaved.tensor for t, unsaved in zip(saved, ctx.unsaved, strict=True)]
    upstream = upstream[: 1 + CELLS[cell].state_parts]

    def outputs_of(tensors: Sequence[Any]) -> tuple[Tensor, ...]:
        x, h, c, *weights = tensors
        state = (h,) if c is None else (h, c)
        y, last = run(x, state, CellWeights._make(weights), backward_in_time)
        return y, *last

    # A transform of the gradient whose forward ran outside it: torch.autograd.grad would not see the transform.
    if is_differentiated() and not torch.is_grad_enabled():
        present = (t.detach() for t in inputs if t is not None)
        _, pull, *_others = torch.func.vjp(lambda *tensors: outputs_of(fill_places(inputs, tensors)), *present)
        return fill_places(inputs, pull(upstream))
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that differentiation ends at this call's inputs: one input may be computed from another, as in a
        # layer called step by step, whose state comes from the same weights.
        views = [None if t is None else t.view_as(t) for t in inputs]
        outputs = outputs_of(views)
    wanted = [t if t is not None and t.requires_grad else None for t in views]
    sources = [t for t in wanted if t is not None]
    found = torch.autograd.grad(outputs, sources, upstream, create_graph=create_graph, allow_unused=True)
    return fill_places(wanted, found)


def fill_places(places: Iterable[Tensor | None], values: Iterable[Tensor | None]) -> list[Tensor | None]:
    """Returns a list with the values, in order, at the places that are not None, and None at the others."""
    remaining = iter(values)
    return [None if place is None else next(remaining) for place in places]


_library.impl("recurrence", _forward, "CPU")
_library.impl("recurrence_backward", _backward, "CPU")
library.register_fake("charloom::recurrence", _forward_shapes, lib=_library)
library.register_fake("charloom::recurrence_backward", _backward_shapes, lib=_library)
library.register_autograd("charloom::recurrence", _differentiate, setup_context=_save, lib=_library)
