"""The only calls of the native kernels: tensors in, addresses out.

The kernels read and write memory at bare addresses. Each address is taken here, from a tensor whose shape, dtype and
layout have just been compared with what the kernel expects (``kernel_arguments``), and from nowhere else.
"""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.recurrence.kernel_arguments import (
    KernelArgumentError,
    LayerShape,
    ModelShape,
    OptionalTensors,
    address,
    addresses,
    memory_cell_address,
    own_address,
    parameter_addresses,
    state_addresses,
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
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Runs a layer over time.

    Args:
        kernels: The kernels of one instruction set.
        shape: Sizes that the tensors are compared with.
        backward_in_time: Read the steps from the last to the first.
        weights: Four; biases may be None.
        x: Input, (steps, batch, inputs).
        h: First hidden state, (batch, hidden).
        c: First memory cell of an LSTM, (batch, hidden).
        keep: Keep what ``layer_backward`` needs.

    Returns:
        Hidden states (steps, batch, hidden), the last one, the last memory cell of an LSTM, and the reserve, uint8, if
        it is kept.

    Raises:
        KernelArgumentError: A tensor is not what ``shape`` says.
    """
    read = (
        addresses(weights, shape.weights),
        address(x, (shape.steps, shape.batch, shape.inputs)),
        address(h, (shape.batch, shape.hidden)),
        memory_cell_address(shape, c),
    )
    # new_empty, not empty: neither the default dtype nor the default device of the process is the kernels'.
    y = x.new_empty(shape.steps, shape.batch, shape.hidden)
    last_h, last_c = torch.empty_like(h), None if c is None else torch.empty_like(c)
    reserve = x.new_empty(reserve_bytes(kernels, shape), dtype=torch.uint8) if keep else None
    kernels.layer_forward(
        *shape, backward_in_time, thread_limit(), *read, *map(own_address, (y, last_h, last_c, reserve))
    )
    return y, last_h, last_c, reserve


def layer_backward(
    kernels: Any,
    shape: LayerShape,
    backward_in_time: bool,
    weights: OptionalTensors,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    reserve: Tensor,
    upstream: tuple[Tensor, Tensor, Tensor | None],
    needs_dx: bool,
) -> list[Tensor | None]:
    """Computes the gradients of weights, input and first state; overwrites the reserve.

    Args:
        kernels: As in ``layer_forward``, of the same instruction set.
        shape: As in ``layer_forward``.
        backward_in_time: As in ``layer_forward``.
        weights: As in ``layer_forward``.
        x: As in ``layer_forward``.
        h: As in ``layer_forward``.
        c: As in ``layer_forward``.
        reserve: As ``layer_forward`` filled it.
        upstream: Gradients of hidden states, last hidden state and last memory cell.
        needs_dx: Compute the gradient of x.

    Returns:
        Gradients of x, h, c and the four weights; None for what is None or not needed.

    Raises:
        KernelArgumentError: A tensor is not what ``shape`` says.
    """
    state = shape.batch, shape.hidden
    read = (
        address(x, (shape.steps, shape.batch, shape.inputs)),
        address(h, state),
        memory_cell_address(shape, c),
        address(reserve, (reserve_bytes(kernels, shape),), torch.uint8),
        address(upstream[0], (shape.steps, *state)),
        address(upstream[1], state),
        memory_cell_address(shape, upstream[2]),
    )
    weight_addresses = addresses(weights, shape.weights)
    gradients = [None if t is None else torch.empty_like(t) for t in (x if needs_dx else None, h, c, *weights)]
    written = [own_address(gradient) for gradient in gradients]
    kernels.layer_backward(*shape, backward_in_time, thread_limit(), weight_addresses, written[3:], *read, *written[:3])
    return gradients


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
    read = (
        address(ids, (batch, steps), torch.int64, contiguous=False),
        address(targets, (batch, steps), torch.int64, contiguous=False),
        [*ids.stride(), *targets.stride()],
        parameter_addresses(parameters, shape),
    )
    first = state_addresses(shape, batch, state)
    loss = state[0].new_empty(())
    gradients = [None if p is None else torch.empty_like(p) for p in parameters]
    last = tuple(torch.empty_like(part) for part in state)
    last_h, last_c = last if len(last) == 2 else (*last, None)
    sizes = shape.cell, precision, steps, batch, *shape[1:]
    try:
        kernels.language_model_step(
            *sizes,
            thread_limit(),
            *read,
            [own_address(gradient) for gradient in gradients],
            *dropout,
            seed,
            *first,
            *map(own_address, (last_h, last_c, loss)),
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
        self._generator.run(
            samples,
            steps,
            sampling,
            address(draws, (samples, steps), torch.float64),
            address(logits, (samples, self._shape.vocabulary)),
            *state_addresses(self._shape, samples, state),
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
        KernelArgumentError: Values do not fit the gradients, a tensor is not dense float32 on the CPU, or two share
            memory, so that threads would change it at the same time.
    """
    if values and len(values) != len(gradients):
        raise KernelArgumentError(f"{len(values)} values do not fit {len(gradients)} gradients")
    changed = [address(g, None) for g in gradients]
    changed += [address(v, g.shape) for v, g in zip(values, gradients, strict=False)]
    sizes = [g.numel() for g in gradients]
    ends = [at + 4 * size for at, size in zip(changed, sizes * 2, strict=False)]
    if any(map(operator.gt, sorted(ends), sorted(changed)[1:])):
        raise KernelArgumentError("the kernels expect tensors that share no memory")
    at_gradients, at_values = changed[: len(sizes)], changed[len(sizes) :]
    kernels.descend(at_gradients, at_values, sizes, max_norm, learning_rate, thread_limit())
