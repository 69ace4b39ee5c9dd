"""The only calls of the native kernels: tensors in, addresses out.

The kernels read and write memory at bare addresses. Each address is taken here, from a tensor whose shape, dtype and
layout have just been compared with what the kernel expects (``kernel_arguments``), and from nowhere else.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.recurrence.kernel_arguments import (
    CELLS,
    KernelArgumentError,
    LayerShape,
    ModelShape,
    OptionalTensors,
    address,
    addresses,
    memory_cell_address,
    parameter_addresses,
)
from charloom.recurrence.threads import thread_limit


def reserve_bytes(kernels: Any, shape: LayerShape) -> int:
    """Size of what ``layer_forward`` keeps for ``layer_backward``."""
    size: int = kernels.reserve_bytes(*shape)
    return size


def layer_forward(
    kernels: Any,
    shape: LayerShape,
    backward_in_time: bool,
    weights: OptionalTensors,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    y: Tensor,
    last_h: Tensor,
    last_c: Tensor | None,
    reserve: Tensor | None,
) -> None:
    """Writes y (steps, batch, hidden), the last state (batch, hidden) and, if there is one, the reserve.

    Args:
        kernels: The kernels of one instruction set.
        shape: Sizes that the tensors are compared with.
        backward_in_time: Read the steps from the last to the first.
        weights: Four; biases may be None.
        x: Input, (steps, batch, inputs).
        h: First hidden state, (batch, hidden).
        c: First memory cell of an LSTM, (batch, hidden).
        y: Receives the hidden states.
        last_h: Receives the last hidden state.
        last_c: Receives the last memory cell of an LSTM.
        reserve: uint8, receives what ``layer_backward`` needs; None to keep nothing.

    Raises:
        KernelArgumentError: A tensor is not what ``shape`` says.
    """
    state = shape.batch, shape.hidden
    sequence = shape.steps, *state
    kernels.layer_forward(
        *shape,
        backward_in_time,
        thread_limit(),
        addresses(weights, shape.weights),
        address(x, (shape.steps, shape.batch, shape.inputs)),
        address(h, state),
        memory_cell_address(shape, c),
        address(y, sequence),
        address(last_h, state),
        memory_cell_address(shape, last_c),
        0 if reserve is None else address(reserve, (reserve_bytes(kernels, shape),), torch.uint8),
    )


def layer_backward(
    kernels: Any,
    shape: LayerShape,
    backward_in_time: bool,
    weights: OptionalTensors,
    gradients: OptionalTensors,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    reserve: Tensor,
    upstream: tuple[Tensor, Tensor, Tensor | None],
    dx: Tensor | None,
    dh: Tensor,
    dc: Tensor | None,
) -> None:
    """Writes the gradients of weights, input and first state; overwrites the reserve.

    Args:
        kernels: As in ``layer_forward``, of the same instruction set.
        shape: As in ``layer_forward``.
        backward_in_time: As in ``layer_forward``.
        weights: As in ``layer_forward``.
        gradients: Receive the gradients of the weights; None where the weight is.
        x: As in ``layer_forward``.
        h: As in ``layer_forward``.
        c: As in ``layer_forward``.
        reserve: As ``layer_forward`` filled it.
        upstream: Gradients of y, last hidden state and last memory cell.
        dx: Receives the gradient of x; None if it is not needed.
        dh: Receives the gradient of h.
        dc: Receives the gradient of c.

    Raises:
        KernelArgumentError: A tensor is not what ``shape`` says.
    """
    state = shape.batch, shape.hidden
    inputs = shape.steps, shape.batch, shape.inputs
    kernels.layer_backward(
        *shape,
        backward_in_time,
        thread_limit(),
        addresses(weights, shape.weights),
        addresses(gradients, shape.weights),
        address(x, inputs),
        address(h, state),
        memory_cell_address(shape, c),
        address(reserve, (reserve_bytes(kernels, shape),), torch.uint8),
        address(upstream[0], (shape.steps, *state)),
        address(upstream[1], state),
        memory_cell_address(shape, upstream[2]),
        0 if dx is None else address(dx, inputs),
        address(dh, state),
        memory_cell_address(shape, dc),
    )


def language_model_step(
    kernels: Any,
    shape: ModelShape,
    precision: int,
    ids: Tensor,
    targets: Tensor,
    parameters: OptionalTensors,
    dropout: tuple[float, float],
    seed: int,
    state: Sequence[Tensor],
) -> tuple[Tensor, list[Tensor | None], tuple[Tensor, ...]]:
    """Computes loss, all gradients and the last state of a minibatch.

    Args:
        kernels: The kernels of one instruction set.
        shape: Sizes that the tensors are compared with.
        precision: A number of ``PRECISIONS``.
        ids: int64 (batch, steps), of any strides.
        targets: int64 (batch, steps), of any strides.
        parameters: As ``shape.parameters``; the embedding is None for one-hot input, biases of layers may be.
        dropout: Probabilities: of what the first layer and the output layer read, and between the layers.
        seed: Of the dropout masks.
        state: Hidden state and, for an LSTM, memory cell: (layers, batch, hidden).

    Returns:
        The mean loss in nats, (); gradients, None where the parameter is; the last state, as ``state``.

    Raises:
        KernelArgumentError: A tensor is not what ``shape`` says.
        InputError: An id is not in the vocabulary.
    """
    batch, steps = ids.shape
    expected = shape.layers, batch, shape.hidden
    parts = 2 if CELLS[shape.cell] == "LSTM" else 1
    if len(state) != parts:
        raise KernelArgumentError(f"the state of a {CELLS[shape.cell]} has {parts} tensors, not {len(state)}")
    ids_address = address(ids, (batch, steps), torch.int64, contiguous=False)
    targets_address = address(targets, (batch, steps), torch.int64, contiguous=False)
    first = [address(part, expected) for part in state]
    weights = parameter_addresses(parameters, shape)
    # Made here, like what has just been checked, so that they need no check.
    loss = state[0].new_empty(())
    gradients = [None if p is None else torch.empty_like(p) for p in parameters]
    last = tuple(torch.empty_like(part) for part in state)
    try:
        kernels.language_model_step(
            shape.cell,
            precision,
            steps,
            batch,
            *shape[1:],
            thread_limit(),
            ids_address,
            targets_address,
            [*ids.stride(), *targets.stride()],
            weights,
            [0 if g is None else g.data_ptr() for g in gradients],
            *dropout,
            seed,
            first[0],
            first[1] if parts == 2 else 0,
            last[0].data_ptr(),
            last[1].data_ptr() if parts == 2 else 0,
            loss.data_ptr(),
        )
    except IndexError as error:
        raise InputError(str(error)) from None
    return loss, gradients, last


class Generator:
    """A language model's weights, packed for generation."""

    def __init__(self, kernels: Any, shape: ModelShape, int8: bool, parameters: OptionalTensors) -> None:
        """Packs the weights; later changes of them are not seen.

        Args:
            kernels: The kernels of one instruction set.
            shape: Sizes that the parameters are compared with.
            int8: Round the weights to 8 bits; else float32.
            parameters: As in ``language_model_step``.

        Raises:
            KernelArgumentError: A parameter is not what ``shape`` says.
        """
        # After torch, whose OpenMP library both use.
        import charloom._kernels as native

        self._shape = shape
        inputs = shape.embedding_size or shape.vocabulary
        sizes = shape.hidden, shape.layers, shape.vocabulary, inputs
        self._generator: Any = native.Generator(
            kernels, shape.cell, int8, *sizes, parameter_addresses(parameters, shape)
        )

    def run(
        self,
        sampling: tuple[bool, float, int, float, int],
        draws: Tensor,
        logits: Tensor,
        state: Sequence[Tensor],
        ids: Tensor,
    ) -> None:
        """Chooses and reads as many tokens as there are draws; updates logits and state in place.

        Args:
            sampling: Greedy, exponent, top-k (0 for all), top-p (1 for all), forbidden token (-1 for none).
            draws: float64 (samples, steps), uniform in [0, 1).
            logits: (samples, vocabulary).
            state: (layers, samples, hidden), two for an LSTM.
            ids: Receives the tokens, int64 (samples, steps).

        Raises:
            KernelArgumentError: A tensor does not fit the model.
        """
        samples, steps = draws.shape
        expected = self._shape.layers, samples, self._shape.hidden
        parts = 2 if CELLS[self._shape.cell] == "LSTM" else 1
        if len(state) != parts:
            raise KernelArgumentError(f"the state of a {CELLS[self._shape.cell]} has {parts} tensors, not {len(state)}")
        self._generator.run(
            samples,
            steps,
            sampling,
            address(draws, (samples, steps), torch.float64),
            address(logits, (samples, self._shape.vocabulary)),
            address(state[0], expected),
            address(state[1], expected) if parts == 2 else 0,
            address(ids, (samples, steps), torch.int64),
        )


def descend(
    kernels: Any, gradients: Sequence[Tensor], values: Sequence[Tensor], max_norm: float, learning_rate: float
) -> None:
    """Scales the gradients down to a global norm of ``max_norm``, then subtracts them from the values.

    Args:
        kernels: The kernels of one instruction set.
        gradients: Of any shapes; changed in place.
        values: As many tensors of the same shapes, changed in place; or none.
        max_norm: May be infinite.
        learning_rate: What the gradients are multiplied by.

    Raises:
        KernelArgumentError: Values do not fit the gradients, or a tensor is not dense float32 on the CPU.
    """
    if values and len(values) != len(gradients):
        raise KernelArgumentError(f"{len(values)} values do not fit {len(gradients)} gradients")
    kernels.descend(
        [address(g, tuple(getattr(g, "shape", ()))) for g in gradients],
        [address(v, tuple(g.shape)) for v, g in zip(values, gradients, strict=False)],
        [g.numel() for g in gradients],
        max_norm,
        learning_rate,
        thread_limit(),
    )
