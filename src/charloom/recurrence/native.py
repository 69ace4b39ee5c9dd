"""A layer computed by the native kernels, as torch operators with shape functions and gradients.

``charloom::recurrence`` runs one layer in one direction. It composes with autograd and ``torch.compile``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, library

from charloom.recurrence import kernel_calls
from charloom.recurrence.dispatch import is_observed, kernels_of
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.kernel_arguments import CELLS, PRECISIONS, LayerShape, dense_address
from charloom.recurrence.scan import scan_direction
from charloom.settings.model import Precision

_Outputs: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
_Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

_library: Any = library.Library("charloom", "DEF")  # type: ignore[no-untyped-call] # torch's
_library.define(
    "recurrence(Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, int cell, "
    "int precision, bool backward_in_time, str kernels, bool keep) -> (Tensor, Tensor, Tensor, Tensor)"
)
_library.define(
    "recurrence_backward(Tensor dy, Tensor dh, Tensor dc, Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, "
    "Tensor? b_ih, Tensor? b_hh, Tensor reserve, int cell, int precision, bool backward_in_time, str kernels) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def native_direction(
    mode: str,
    precision: Precision,
    kernels: str,
    inputs: Tensor,
    state: CellState,
    weights: CellWeights,
    backward_in_time: bool = False,
) -> tuple[Tensor, CellState]:
    """As ``scan.scan_direction``, by the kernels of an instruction set, forward and backward.

    ``dispatch.available_path`` names them; ``dispatch.covers`` tells if they may be used.
    """
    h, c = state[0], state[1] if mode == "LSTM" else None
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *state, *weights) if t is not None)
    if mode == "GRU" and keep and not weights.hidden.requires_grad:
        h = h.clone()  # PyTorch lets the state change before the backward pass; these kernels read it again there
    options = CELLS.index(mode), PRECISIONS.index(precision), backward_in_time, kernels, keep
    # The operator is for the graphs of torch.compile. Without it a small call takes three quarters of the time.
    run: Any = (
        torch.ops.charloom.recurrence if torch.compiler.is_compiling() else _Recurrence.apply if keep else _forward
    )
    # Contiguous here, so that a copy is what autograd saves; a later change of what it is a view of does not matter.
    y, last_h, last_c, _ = run(inputs.contiguous(), h, c, *weights, *options)
    return y, (last_h, last_c) if mode == "LSTM" else (last_h,)


def _forward(
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    cell: int,
    precision: int,
    backward_in_time: bool,
    kernels: str,
    keep: bool,
) -> _Outputs:
    shape = _shape(x, w_hh, cell, precision)
    x, h, c, *weights = _contiguous(x, h, c, w_ih, w_hh, b_ih, b_hh)
    y, last_h, last_c, reserve = kernel_calls.layer_forward(
        kernels_of(kernels), shape, backward_in_time, weights, x, h, c, keep
    )
    last_c = x.new_empty(0) if last_c is None else last_c
    return y, last_h, last_c, x.new_empty(0, dtype=torch.uint8) if reserve is None else reserve


def _backward(
    dy: Tensor,
    dh: Tensor,
    dc: Tensor,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    reserve: Tensor,
    *options: Any,
) -> _Gradients:
    inputs = (x, h, c, w_ih, w_hh, b_ih, b_hh)
    gradients = _consuming_backward((dy, dh, dc), inputs, reserve.clone(), True, *options)
    none = x.new_empty(0)  # an operator returns tensors only
    return tuple(none if g is None else g for g in gradients)  # type: ignore[return-value] # seven


def _consuming_backward(
    upstream: tuple[Tensor, Tensor, Tensor],
    inputs: Sequence[Any],
    reserve: Tensor,
    needs_dx: bool,
    cell: int,
    precision: int,
    backward_in_time: bool,
    kernels: str,
) -> list[Tensor | None]:
    """The gradients of x to b_hh; None for what is None or not needed. Overwrites the reserve."""
    shape = _shape(inputs[0], inputs[4], cell, precision)
    x, h, c, *weights = _contiguous(*inputs)
    dy, dh, dc = _contiguous(*upstream)
    return kernel_calls.layer_backward(
        kernels_of(kernels), shape, backward_in_time, weights, x, h, c, reserve, (dy, dh, dc), needs_dx
    )


def _forward_shapes(x: Tensor, h: Tensor, c: Tensor | None, _: Tensor, w_hh: Tensor, *options: Any) -> _Outputs:
    y = x.new_empty(x.shape[0], x.shape[1], w_hh.shape[1])
    size = library.get_ctx().new_dynamic_size() if options[-1] else 0
    reserve = x.new_empty(size, dtype=torch.uint8)
    return y, h.new_empty(h.shape), x.new_empty(0) if c is None else c.new_empty(c.shape), reserve


def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    x = arguments[3]
    return tuple(x.new_empty(0 if t is None else t.shape) for t in arguments[3:10])


def _save(ctx: Any, inputs: tuple[Any, ...], output: _Outputs) -> None:
    tensors, (cell, *options, _) = inputs[:7], inputs[7:]
    x, _, _, w_ih, w_hh, *_ = tensors
    # What first derivatives do not need may change before the backward pass, as in torch.nn; so it is not saved.
    needed = w_ih.requires_grad, w_hh.requires_grad or CELLS[cell] == "GRU", True, x.requires_grad, True, False, False
    ctx.save_for_backward(output[3], *(t if kept else None for t, kept in zip(tensors, needed, strict=True)))
    ctx.unsaved = [None if kept else _Unsaved.of(t) for t, kept in zip(tensors, needed, strict=True)]
    ctx.options = cell, *options


class _Recurrence(torch.autograd.Function):
    """The operator outside graphs."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> _Outputs:
        outputs = _forward(*inputs)
        _save(ctx, inputs, outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return _differentiate(ctx, *upstream)


class _Unsaved(NamedTuple):
    """A tensor that only second derivatives need. version: None if it has none, as in inference mode."""

    tensor: Any
    version: int | None

    @classmethod
    def of(cls, tensor: Any) -> "_Unsaved":
        return cls(tensor, None if tensor is None or tensor.is_inference() else tensor._version)

    def may_have_changed(self) -> bool:
        return self.tensor is not None and (self.version is None or self.version != self.tensor._version)


def _differentiate(ctx: Any, dy: Tensor, dh: Tensor, dc: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    reserve, *saved = ctx.saved_tensors
    inputs = [t if unsaved is None else unsaved.tensor for t, unsaved in zip(saved, ctx.unsaved, strict=True)]
    if torch.is_grad_enabled() or any(map(is_batched, (dy, dh, dc))):
        # The gradient is to be differentiated again (create_graph), or of a batch at once (is_grads_batched).
        if any(unsaved is not None and unsaved.may_have_changed() for unsaved in ctx.unsaved):
            raise RuntimeError(
                "an input or a weight of a recurrent layer was changed in place after forward: no derivative of its "
                "gradient"
            )
        gradients: Sequence[Any] = _differentiable_gradients(inputs, (dy, dh, dc), *ctx.options[:3])
    elif is_observed() or type(dy) is not Tensor:
        gradients = torch.ops.charloom.recurrence_backward(dy, dh, dc, *inputs, reserve, *ctx.options)
    else:
        if torch._C._autograd._get_current_graph_task_keep_graph():  # else nobody will read the reserve again
            reserve = reserve.clone()
        gradients = _consuming_backward((dy, dh, dc), inputs, reserve, ctx.needs_input_grad[0], *ctx.options)
    return (*(None if t is None else g for t, g in zip(inputs, gradients, strict=True)), *[None] * 5)


def is_batched(tensor: Tensor) -> bool:
    """True under ``vmap``, PyTorch's present one or the one that ``is_grads_batched`` uses."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


def _differentiable_gradients(
    inputs: list[Any],
    upstream: tuple[Tensor, ...],
    cell: int,
    precision: int,  # noqa: ARG001 - the equations have one
    backward_in_time: bool,
) -> list[Tensor | None]:
    """The gradients by way of the equations, whose own can be taken."""
    # Views, so that differentiation ends at this call's inputs: one input may be computed from another, as in a layer
    # called step by step, whose state comes from the same weights.
    with torch.enable_grad():
        inputs = [None if t is None else t.view_as(t) for t in inputs]
    x, h, c, w_ih, w_hh, b_ih, b_hh = inputs
    state = (h,) if c is None else (h, c)
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        y, last = scan_direction(STEPS[CELLS[cell]], x, state, CellWeights(w_ih, w_hh, b_ih, b_hh), backward_in_time)
    outputs = (y, *last)
    found = iter(
        torch.autograd.grad(outputs, wanted, upstream[: len(outputs)], create_graph=create_graph, allow_unused=True)
    )
    return [next(found) if t is not None and t.requires_grad else None for t in inputs]


def _shape(x: Tensor, w_hh: Tensor, cell: int, precision: int) -> LayerShape:
    steps, batch, inputs = x.shape
    return LayerShape(cell, precision, steps, batch, inputs, w_hh.shape[1])


def _contiguous(*tensors: Any) -> list[Any]:
    return [None if t is None else t.contiguous() for t in tensors]


def _hide_from_compiler(*functions: Any) -> None:
    """Has torch.compile run these, and what they call, as they are.

    Else it compiles an operator's own Python where that runs outside a graph, and hands the kernels sizes as symbols.
    As ``torch.compiler.disable``, which would import the compiler for everyone.
    """
    try:
        compiler = torch._C._dynamo.eval_frame
        skip = compiler._FrameAction.SKIP
        for function in functions:
            compiler.set_code_exec_strategy(function.__code__, compiler._FrameExecStrategy(skip, skip))
    except AttributeError:  # PyTorch's own affair: nothing else depends on it
        pass


_hide_from_compiler(_forward, _backward, _consuming_backward, _Recurrence.forward, dense_address)
_library.impl("recurrence", _forward, "CPU")
_library.impl("recurrence_backward", _backward, "CPU")
library.register_fake("charloom::recurrence", _forward_shapes, lib=_library)
library.register_fake("charloom::recurrence_backward", _backward_shapes, lib=_library)
library.register_autograd("charloom::recurrence", _differentiate, setup_context=_save, lib=_library)
