"""A whole recurrent layer, or a step of a language model, in one native call that no backward pass follows.

``native`` computes the same with one operator for each layer and direction, which autograd and ``torch.compile`` can
use. For one time step of a small layer the calls of Python around these operators take most of the time; here there is
one. The weights are read at each call, as PyTorch lays them out, so that there is no copy that could be outdated;
``frozen_weights`` keeps one for layers that the user has frozen.
"""

import operator
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import Parameter

from charloom.recurrence.backend import backend
from charloom.recurrence.frozen_weights import FrozenWeights
from charloom.recurrence.kernel_arguments import dense_address
from charloom.recurrence.threads import thread_limit
from charloom.recurrence.torch_internals import is_recorded
from charloom.shapes import State

LayerOptions: TypeAlias = tuple[int, int, int, int, int, bool, bool]
"""Options of a layer of ``torch.nn``, as ``LayerOptions`` in kernels/inference_bindings.h: cell (index into ``CELLS``),
precision (index into ``PRECISIONS``), input size, hidden size, number of layers, bidirectional, bias."""


def can_infer() -> bool:
    """Returns True if a call may use ``infer`` now: gradients are disabled, and nothing records PyTorch's operators."""
    # The cheapest test first: this runs at each call of a layer, and most calls of training end here.
    return not torch.is_grad_enabled() and not torch.compiler.is_compiling() and not is_recorded()


def infer(
    options: LayerOptions,
    inputs: Any,
    state: Any,
    weights: list[Any],
    resets: Any = None,
    frozen: FrozenWeights | None = None,
    batch_sizes: list[int] | None = None,
) -> tuple[Tensor, State] | None:
    """Runs all layers and directions; ``can_infer`` must be true.

    Args:
        options: Options of the layer.
        inputs: (steps, batch, features), or (rows, features) with ``batch_sizes``; this, ``state`` and ``resets`` may
            be any objects.
        state: Initial state (layers * directions, batch, hidden), for an LSTM a tuple of two; zeros if None.
        weights: Weights in the order of ``torch.nn.RNNBase._flat_weights``.
        resets: Resets, bool (steps, batch), as in ``scan.scan_direction``; None for no resets, and for a packed batch.
        frozen: Kept packed weights of a frozen layer; None to read ``weights``.
        batch_sizes: Batch size of each step of a packed batch, as in ``native.native_direction``; None for a padded
            batch.

    Returns:
        Outputs (..., directions * hidden) and the last state in the form of ``state``. None if the kernels do
        not take one of the arguments or there are no kernels: nothing was computed.
    """
    kernels = backend().kernels
    if kernels is None:
        return None
    # None also for weights that were frozen while another backend was selected.
    native = None if frozen is None else frozen.native
    # Padded batches are passed without the argument: in a step of a stream, each part of a microsecond counts.
    run = kernels.infer_layers if batch_sizes is None else partial(kernels.infer_layers, batch_sizes=batch_sizes)
    found = run(
        options, threads=thread_limit(), input=inputs, state=state, resets=resets, weights=weights, frozen=native
    )
    if found is not None:
        return found
    # The kernels take dense tensors only. Other paths would copy the others too, but lack frozen weights and int8.
    is_tuple = type(state) is tuple
    given = (inputs, resets, *weights, *(state if is_tuple else (state,)))
    copies = [_to_dense(argument) for argument in given]
    if all(map(operator.is_, copies, given)):
        return None
    dense_inputs, dense_resets, *rest = copies
    dense_weights, parts = rest[: len(weights)], rest[len(weights) :]
    return run(
        options,
        threads=thread_limit(),
        input=dense_inputs,
        state=tuple(parts) if is_tuple else parts[0],
        resets=dense_resets,
        weights=dense_weights,
        # New copies at each call: to keep them packed would only take time.
        frozen=native if all(map(operator.is_, dense_weights, weights)) else None,
    )


def infer_step(
    options: LayerOptions,
    ids: Any,
    state: Any,
    weights: list[Any],
    frozen: FrozenWeights | None,
    embedding: Any,
    output: Any,
    output_bias: Any,
) -> tuple[Tensor, State] | None:
    """Runs one step of a language model without dropout; ``can_infer`` must be true.

    Args:
        options: Options of the layer, which has one direction.
        ids: One token id for each sequence, int64 (batch,).
        state: State before the ids; the same forms as for ``infer``.
        weights: Weights of the layer, in the same order as for ``infer``.
        frozen: Kept packed weights of a frozen layer; None to read ``weights``.
        embedding: The embedding's weights (vocabulary, features); None for one-hot input.
        output: The output layer's weights (vocabulary, hidden).
        output_bias: The output layer's bias (vocabulary,).

    Returns:
        Logits (batch, vocabulary) and the last state in the form of ``state``. None, before anything is computed, if
        the kernels do not take one of the arguments, an id is not in the vocabulary, or there are no kernels.
    """
    kernels = backend().kernels
    if kernels is None:
        return None
    return kernels.infer_step(
        options,
        threads=thread_limit(),
        ids=ids,
        state=state,
        weights=weights,
        frozen=None if frozen is None else frozen.native,
        embedding=embedding,
        output=output,
        output_bias=output_bias,
    )


def _to_dense(argument: Any) -> Any:
    """Returns a contiguous copy of a plain tensor that is not contiguous; any other object as it is."""
    if type(argument) not in (Tensor, Parameter) or argument.layout is not torch.strided or argument.is_nested:
        return argument
    # PyTorch would read past the end of a storage that has been freed or shrunk.
    return argument.contiguous() if dense_address(argument, argument.dtype) else argument
