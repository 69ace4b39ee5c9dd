"""A layer computed by the native kernels, as torch operators with shape functions and gradients.

``charloom::recurrence`` runs one layer in one direction. It composes with autograd and ``torch.compile``.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, library

from charloom.recurrence import kernel_calls
from charloom.recurrence.dispatch import chosen_kernels, is_observed
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.kernel_arguments import CELLS, PRECISIONS, LayerShape
from charloom.recurrence.scan import scan_direction
from charloom.settings.model import Precision

_Outputs: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
_Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

_library: Any = library.Library("charloom", "DEF")  # type: ignore[no-untyped-call] # torch's
_library.define(
    "recurrence(Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, int cell, "
    "int precision, bool backward_in_time, bool keep) -> (Tensor, Tensor, Tensor, Tensor)"
)
_library.define(
    "recurrence_backward(Tensor dy, Tensor dh, Tensor dc, Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, "
    "Tensor? b_ih, Tensor? b_hh, Tensor reserve, int cell, int precision, bool backward_in_time) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def native_direction(
    mode: str,
    precision: Precision,
    inputs: Tensor,
    state: CellState,
    weights: CellWeights,
    backward_in_time: bool = False,
) -> tuple[Tensor, CellState]:
    """As ``scan.scan_direction``, by the kernels; ``dispatch.covers`` tells if they may be used."""
    h, c = state if mode == "LSTM" else (*state, None)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *state, *weights) if t is not None)
    # Contiguous here, so that a copy is what autograd saves; a later change of what it is a view of does not matter.
    y, h, c, _ = torch.ops.charloom.recurrence(
        inputs.contiguous(), h, c, *weights, CELLS.index(mode), PRECISIONS.index(precision), backward_in_time, keep
    )
    return y, (h, c) if mode == "LSTM" else (h,)


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
    keep: bool,
) -> _Outputs:
    kernels = chosen_kernels()
    shape = _shape(x, w_hh, cell, precision)
    x, h, c, *weights = _contiguous(x, h, c, w_ih, w_hh, b_ih, b_hh)
    # new_empty, not empty: neither the default dtype nor the default device of the process is the kernels'.
    y = x.new_empty(shape.steps, shape.batch, shape.hidden)
    last_h, last_c = torch.empty_like(h), x.new_empty(0) if c is None else torch.empty_like(c)
    reserve = x.new_empty(kernel_calls.reserve_bytes(kernels, shape) if keep else 0, dtype=torch.uint8)
    kernel_calls.layer_forward(
        kernels, shape, backward_in_time, weights, x, h, c, y, last_h, last_c, reserve if keep else None
    )
    return y, last_h, last_c, reserve


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
    cell: int,
    precision: int,
    backward_in_time: bool,
) -> _Gradients:
    inputs = (x, h, c, w_ih, w_hh, b_ih, b_hh)
    options = cell, precision, backward_in_time
    return _consuming_backward(chosen_kernels(), (dy, dh, dc), inputs, reserve.clone(), options)


def _consuming_backward(
    kernels: Any,
    upstream: tuple[Tensor, Tensor, Tensor],
    inputs: Sequence[Any],
    reserve: Tensor,
    options: tuple[int, int, bool],
    needs_dx: bool = True,
) -> _Gradients:
    """The gradients of x to b_hh; empty for what is None or not needed. Overwrites the reserve."""
    cell, precision, backward_in_time = options
    shape = _shape(inputs[0], inputs[4], cell, precision)
    x, h, c, *weights = _contiguous(*inputs)
    dy, dh, dc = _contiguous(*upstream)
    results = [None if t is None else torch.empty_like(t) for t in (x if needs_dx else None, h, c, *weights)]
    dx, d_first_h, d_first_c, *gradients = results
    assert d_first_h is not None
    kernel_calls.layer_backward(
        kernels,
        shape,
        backward_in_time,
        weights,
        gradients,
        x,
        h,
        c,
        reserve,
        (dy, dh, dc if shape.has_memory_cell else None),
        dx,
        d_first_h,
        d_first_c,
    )
    none = x.new_empty(0)
    return tuple(none if t is None else t for t in results)  # type: ignore[return-value] # seven


def _forward_shapes(x: Tensor, h: Tensor, c: Tensor | None, _: Tensor, w_hh: Tensor, *options: Any) -> _Outputs:
    y = x.new_empty(x.shape[0], x.shape[1], w_hh.shape[1])
    size = library.get_ctx().new_dynamic_size() if options[-1] else 0
    reserve = x.new_empty(size, dtype=torch.uint8)
    return y, h.new_empty(h.shape), x.new_empty(0) if c is None else c.new_empty(c.shape), reserve


def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    x = arguments[3]
    return tuple(x.new_empty(0 if t is None else t.shape) for t in arguments[3:10])


def _save(ctx: Any, inputs: tuple[Any, ...], output: _Outputs) -> None:
    x, h, c, w_ih, w_hh, b_ih, b_hh, cell, precision, backward_in_time, _ = inputs
    # What first derivatives do not need may change before the backward pass, as in torch.nn; so it is not saved.
    ctx.save_for_backward(x, h, c, w_ih if x.requires_grad else None, w_hh, output[3])
    ctx.unsaved = [(t, None if t is None or t.is_inference() else t._version) for t in (w_ih, b_ih, b_hh)]
    ctx.options = cell, precision, backward_in_time
    ctx.kernels = chosen_kernels()


def _differentiate(ctx: Any, dy: Tensor, dh: Tensor, dc: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, h, c, _, w_hh, reserve = ctx.saved_tensors
    (w_ih, _), (b_ih, _), (b_hh, _) = ctx.unsaved
    inputs = [x, h, c, w_ih, w_hh, b_ih, b_hh]
    if torch.is_grad_enabled() or any(map(is_batched, (dy, dh, dc))):
        # The gradient is to be differentiated again (create_graph), or of a batch at once (is_grads_batched).
        if any(t is not None and version is not None and t._version != version for t, version in ctx.unsaved):
            raise RuntimeError(
                "a weight of a recurrent layer was changed in place after forward: no derivative of its gradient"
            )
        gradients: Sequence[Any] = _differentiable_gradients(inputs, (dy, dh, dc), *ctx.options)
    elif is_observed() or type(dy) is not Tensor or torch._C._autograd._get_current_graph_task_keep_graph():
        gradients = torch.ops.charloom.recurrence_backward(dy, dh, dc, *inputs, reserve, *ctx.options)
    else:  # autograd frees the graph after this call: nobody else will read the reserve
        gradients = _consuming_backward(
            ctx.kernels, (dy, dh, dc), inputs, reserve, ctx.options, needs_dx=ctx.needs_input_grad[0]
        )
    return (*(None if t is None else g for t, g in zip(inputs, gradients, strict=True)), None, None, None, None)


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


_hide_from_compiler(_forward, _backward, _consuming_backward)
_library.impl("recurrence", _forward, "CPU")
_library.impl("recurrence_backward", _backward, "CPU")
library.register_fake("charloom::recurrence", _forward_shapes, lib=_library)
library.register_fake("charloom::recurrence_backward", _backward_shapes, lib=_library)
library.register_autograd("charloom::recurrence", _differentiate, setup_context=_save, lib=_library)
