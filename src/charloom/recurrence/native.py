"""A layer computed by the native kernels, as torch operators with shape functions and gradients.

``charloom::recurrence`` runs one layer in one direction. It composes with ``torch.compile``, ``torch.export`` and
whatever else PyTorch does with operators. Nothing checks a pointer after this file: shapes and layouts are settled
here.
"""

from typing import Any, TypeAlias

import torch
from torch import Tensor, library
from torch.nn import functional

from charloom.recurrence.dispatch import chosen_kernels
from charloom.recurrence.equations import STEPS, CellState, CellWeights
from charloom.recurrence.scan import scan_direction
from charloom.recurrence.threads import thread_limit
from charloom.settings.model import Precision

CELLS = ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")
"""By the kernels' number of each, the names that ``torch.nn.RNNBase.mode`` gives them."""
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
_LSTM = CELLS.index("LSTM")
_PADDING = 32  # kernels.h: kPadding

_Outputs: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
_Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

_library: Any = library.Library("charloom", "DEF")  # type: ignore[no-untyped-call] # torch's
_library.define(
    "recurrence(Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, int cell, "
    "int precision, bool backward_in_time, bool keep) -> (Tensor, Tensor, Tensor, Tensor)"
)
_library.define(
    "recurrence_backward(Tensor dy, Tensor dh, Tensor dc, Tensor x, Tensor h, Tensor? c, Tensor w_ih, Tensor w_hh, "
    "Tensor? b_ih, Tensor? b_hh, Tensor y, Tensor reserve, int cell, int precision, bool backward_in_time) "
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
    """As ``scan.scan_direction``, by the kernels; what they cover is ``dispatch.covers``'s to say."""
    h, c = state if mode == "LSTM" else (*state, None)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (inputs, *state, *weights) if t is not None)
    y, h, c, _ = torch.ops.charloom.recurrence(
        inputs, h, c, *weights, CELLS.index(mode), PRECISIONS.index(precision), backward_in_time, keep
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
    x, h, c = x.contiguous(), _padded(h), None if c is None else _padded(c)
    weights = _contiguous(w_ih, w_hh, b_ih, b_hh)
    shape = _shape(x, w_hh, cell, precision, backward_in_time)
    y, last_h, last_c = _empty_outputs(x, h, c, w_hh)
    size = kernels.reserve_bytes(shape) if keep else 0
    reserve = torch.empty(size, dtype=torch.uint8)
    kernels.layer_forward(
        shape,
        _addresses(*weights),
        *_addresses(x, h, c, y, last_h, last_c if c is not None else None, reserve if keep else None),
    )
    hidden_size = w_hh.shape[1]
    return (
        y[..., :hidden_size],
        last_h[:, :hidden_size].contiguous(),
        last_c[:, :hidden_size].contiguous() if c is not None else last_c,
        reserve,
    )


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
    y: Tensor,
    reserve: Tensor,
    cell: int,
    precision: int,
    backward_in_time: bool,
) -> _Gradients:
    x, hidden_size = x.contiguous(), w_hh.shape[1]
    padded_h, padded_c = _padded(h), None if c is None else _padded(c)
    dx, d_first_h, d_first_c = torch.empty_like(x), torch.empty_like(padded_h), torch.empty(0)
    if padded_c is not None:
        d_first_c = torch.empty_like(padded_c)
    weights = _contiguous(w_ih, w_hh, b_ih, b_hh)
    gradients = [None if t is None else torch.empty_like(t) for t in weights]
    # Named, so that each lives until the call is over.
    dy, dh, padded_dc, y = _padded(dy), _padded(dh), None if c is None else _padded(dc), _with_padding(y, hidden_size)
    chosen_kernels().layer_backward(
        _shape(x, w_hh, cell, precision, backward_in_time),
        _addresses(*weights),
        _addresses(*gradients),
        *_addresses(x, padded_h, padded_c, y, reserve, dy, dh, padded_dc, dx, d_first_h),
        d_first_c.data_ptr() if c is not None else 0,
    )
    none = torch.empty(0)
    dw_ih, dw_hh, db_ih, db_hh = (none if g is None else g for g in gradients)
    return (
        dx,
        d_first_h[:, :hidden_size].contiguous(),
        d_first_c[:, :hidden_size].contiguous() if c is not None else d_first_c,
        dw_ih,
        dw_hh,
        db_ih,
        db_hh,
    )


def _forward_shapes(x: Tensor, h: Tensor, c: Tensor | None, _: Tensor, w_hh: Tensor, *options: Any) -> _Outputs:
    hidden_size = w_hh.shape[1]
    y = x.new_empty(x.shape[0], x.shape[1], _padded_size(hidden_size))[..., :hidden_size]
    size = library.get_ctx().new_dynamic_size() if options[-1] else 0
    reserve = x.new_empty(size, dtype=torch.uint8)
    return y, torch.empty_like(h), x.new_empty(0) if c is None else torch.empty_like(c), reserve


def _backward_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    x = arguments[3]

    def like(t: Tensor | None) -> Tensor:
        return torch.empty(0 if t is None else t.shape, dtype=x.dtype, device=x.device)

    return tuple(like(t) for t in arguments[3:10])


def _save(ctx: Any, inputs: tuple[Any, ...], output: _Outputs) -> None:
    *tensors, cell, precision, backward_in_time, _ = inputs
    ctx.save_for_backward(*tensors, output[0], output[3])
    ctx.options = cell, precision, backward_in_time


def _differentiate(ctx: Any, dy: Tensor, dh: Tensor, dc: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    x, h, c, w_ih, w_hh, b_ih, b_hh, y, reserve = ctx.saved_tensors
    inputs = (x, h, c, w_ih, w_hh, b_ih, b_hh)
    if torch.is_grad_enabled():  # create_graph: the gradient is to be differentiated again
        gradients = _differentiable_gradients(inputs, (dy, dh, dc), *ctx.options)
    else:
        gradients = torch.ops.charloom.recurrence_backward(dy, dh, dc, *inputs, y, reserve, *ctx.options)
    return (*(None if t is None else g for t, g in zip(inputs, gradients, strict=True)), None, None, None, None)


def _differentiable_gradients(
    inputs: tuple[Any, ...],
    upstream: tuple[Tensor, ...],
    cell: int,
    precision: int,  # noqa: ARG001 - the equations have one
    backward_in_time: bool,
) -> list[Tensor | None]:
    """The gradients by way of the equations, whose own can be taken."""
    x, h, c, w_ih, w_hh, b_ih, b_hh = inputs
    state = (h,) if c is None else (h, c)
    y, last = scan_direction(STEPS[CELLS[cell]], x, state, CellWeights(w_ih, w_hh, b_ih, b_hh), backward_in_time)
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    found = iter(
        torch.autograd.grad((y, *last), wanted, upstream[: 1 + len(last)], create_graph=True, allow_unused=True)
    )
    return [next(found) if t is not None and t.requires_grad else None for t in inputs]


def _padded_size(hidden_size: int) -> int:
    return (hidden_size + _PADDING - 1) // _PADDING * _PADDING


def _padded(t: Tensor) -> Tensor:
    """The last dimension filled up with zeros to what the kernels read."""
    missing = _padded_size(t.shape[-1]) - t.shape[-1]
    return functional.pad(t, (0, missing)) if missing else t.contiguous()


def _with_padding(y: Tensor, hidden_size: int) -> Tensor:
    """Outputs as the kernels wrote them, padding and all; made anew where they have been copied since."""
    width = _padded_size(hidden_size)
    if y.stride() == (y.shape[1] * width, width, 1):
        return y
    return _padded(y)


def _empty_outputs(x: Tensor, h: Tensor, c: Tensor | None, w_hh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.empty(x.shape[0], x.shape[1], _padded_size(w_hh.shape[1]))
    return y, torch.empty_like(h), torch.empty(0) if c is None else torch.empty_like(c)


def _shape(x: Tensor, w_hh: Tensor, cell: int, precision: int, backward_in_time: bool) -> list[int]:
    steps, batch, inputs = x.shape
    return [cell, precision, steps, batch, inputs, w_hh.shape[1], int(backward_in_time), thread_limit()]


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if t is None else t.contiguous() for t in tensors]


def _addresses(*tensors: Tensor | None) -> list[int]:
    return [0 if t is None else t.data_ptr() for t in tensors]


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


_hide_from_compiler(_forward, _backward)
_library.impl("recurrence", _forward, "CPU")
_library.impl("recurrence_backward", _backward, "CPU")
library.register_fake("charloom::recurrence", _forward_shapes, lib=_library)
library.register_fake("charloom::recurrence_backward", _backward_shapes, lib=_library)
library.register_autograd("charloom::recurrence", _differentiate, setup_context=_save, lib=_library)
