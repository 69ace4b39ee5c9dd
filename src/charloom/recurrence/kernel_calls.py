"""The calls of the native kernels for training: tensors in, addresses out.

The kernels read and write memory at bare addresses. Addresses are taken only here, from tensors whose shape, dtype and
layout have just been compared with those that the kernel expects (``kernel_arguments``); ``native_generator`` does the
same for generation. ``inference`` passes tensors, whose addresses the bindings take after the same checks.

All functions raise KernelArgumentError for a tensor that does not fit the sizes.
"""

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.recurrence.backend import Kernels
from charloom.recurrence.equations import CellState
from charloom.recurrence.kernel_arguments import (
    KernelArgumentError,
    LayerShape,
    ModelShape,
    OptionalTensors,
    address,
    address_of_new,
    addresses,
    batch_sizes_address,
    cell_state_address,
    parameter_addresses,
    resets_address,
    state_addresses,
)
from charloom.recurrence.threads import thread_limit


class LayerCall(NamedTuple):
    """The arguments of a call for one layer in one direction.

    Attributes:
        kernels: Kernels for one instruction set.
        shape: Sizes that the tensors are compared with.
        backward_in_time: Read the steps from the last to the first.
        x: Input, (steps, batch, inputs), or (rows, inputs) of a packed batch.
        h: Initial hidden state, (batch, hidden).
        c: Initial cell state of an LSTM, (batch, hidden); None for other cells.
        weights: Input weights, hidden weights and two biases, which may be None.
        batch_sizes: Batch size of each step of a packed batch, int64; None for a padded batch.
        resets: Rows that are reset before a step, bool (steps, batch), as in ``scan_direction``; None for no resets.
    """

    kernels: Kernels
    shape: LayerShape
    backward_in_time: bool
    x: Tensor
    h: Tensor
    c: Tensor | None
    weights: OptionalTensors
    batch_sizes: Tensor | None = None
    resets: Tensor | None = None

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments that the kernels' forward and backward functions share."""
        return {
            "sizes": self.shape,
            "backward_in_time": self.backward_in_time,
            "batch_sizes": batch_sizes_address(self.shape, self.batch_sizes),
            "resets": resets_address(self.shape, self.resets),
            "threads": thread_limit(),
            "weights": addresses(self.weights, self.shape.weights),
            "x": address(self.x, self.shape.input),
            "first_hidden": address(self.h, self.shape.state),
            "first_cell": cell_state_address(self.shape, self.c),
        }


def layer_forward(call: LayerCall, keep: bool) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Runs a layer over time.

    Args:
        call: The arguments.
        keep: Return the reserve for ``layer_backward``.

    Returns:
        Hidden states in the rows of the input, the last hidden state, the last cell state of an LSTM or None, and the
        reserve, uint8, or None.
    """
    arguments, h, c = call.arguments(), call.h, call.c
    # new_empty, not empty: the default dtype and the default device of the process may be others than the kernels'.
    y = h.new_empty(call.shape.output)
    # Contiguous like the states, which ``call.arguments`` has checked.
    last_h, last_c = torch.empty_like(h), None if c is None else torch.empty_like(c)
    reserve = h.new_empty(call.shape.reserve, dtype=torch.uint8) if keep else None
    call.kernels.layer_forward(
        **arguments,
        y=address_of_new(y),
        last_hidden=address_of_new(last_h),
        last_cell=address_of_new(last_c),
        reserve=(address_of_new(reserve), call.shape.reserve),
    )
    return y, last_h, last_c, reserve


def layer_backward(
    call: LayerCall, reserve: Tensor, upstream: tuple[Tensor, Tensor, Tensor | None], needs_dx: bool
) -> list[Tensor | None]:
    """Computes the gradients of x, h, c and the four weights.

    Args:
        call: The arguments of ``layer_forward``, with kernels for the same instruction set.
        reserve: Reserve that ``layer_forward`` returned; it is overwritten.
        upstream: Gradients of hidden states, last hidden state and last cell state.
        needs_dx: Compute the gradient of x.

    Returns:
        The gradients; None for a tensor that is None, and for x if it is not needed.
    """
    kernels, shape, _, x, h, c, weights, *_ = call
    arguments, (dy, dh, dc) = call.arguments(), upstream
    gradients = [None if t is None else torch.empty_like(t) for t in (x if needs_dx else None, h, c, *weights)]
    dx, d_first_hidden, d_first_cell, *d_weights = map(address_of_new, gradients)
    kernels.layer_backward(
        **arguments,
        gradients=d_weights,
        # Its layout is the instruction set's own; the size is all that can be checked.
        reserve=(address(reserve, (shape.reserve,), torch.uint8), shape.reserve),
        dy=address(dy, shape.output),
        d_last_hidden=address(dh, shape.state),
        d_last_cell=cell_state_address(shape, dc),
        dx=dx,
        d_first_hidden=d_first_hidden,
        d_first_cell=d_first_cell,
    )
    return gradients


class Step(NamedTuple):
    """The arguments of a training step, except the parameters.

    Attributes:
        kernels: Kernels for one instruction set.
        shape: Sizes that the tensors are compared with.
        precision: Index into ``PRECISIONS``.
        ids: Token ids, int64 (batch, steps), with any strides.
        targets: Ids of the next tokens, int64 (batch, steps), with any strides.
        state: Hidden state and, for an LSTM, cell state, each (layers, batch, hidden).
        dropout: Probability of dropout on the inputs of the first layer and of the output layer.
        layer_dropout: Probability of dropout between the layers.
    """

    kernels: Kernels
    shape: ModelShape
    precision: int
    ids: Tensor
    targets: Tensor
    state: CellState
    dropout: float
    layer_dropout: float


def language_model_step(step: Step, parameters: OptionalTensors) -> tuple[Tensor, list[Tensor | None], CellState]:
    """Computes loss, gradients and last state of a minibatch.

    Args:
        step: All arguments except the parameters.
        parameters: Parameters in the order of ``shape.parameters``; the embedding is None for one-hot input, biases of
            layers may be None.

    Returns:
        The mean loss in nats, a scalar; the gradients, None for a parameter that is None; and the last state.

    Raises:
        InputError: An id is not in the vocabulary.
    """
    kernels, shape, precision, ids, targets, state, dropout, layer_dropout = step
    batch, num_steps = ids.shape
    first_hidden, first_cell = state_addresses(shape, batch, state)
    # Parameters that the kernels do not take are found before the gradients are allocated.
    at_parameters = parameter_addresses(parameters, shape)
    # The kernels fill these; new_empty keeps to float32 on the CPU, like the state.
    loss = state[0].new_empty(())
    gradients = [None if p is None else torch.empty_like(p) for p in parameters]
    last = tuple(torch.empty_like(part) for part in state)
    try:
        kernels.language_model_step(
            shape,
            precision=precision,
            steps=num_steps,
            batch=batch,
            threads=thread_limit(),
            # With strides, since minibatches can be views: the bindings copy them to (steps, batch) in any case.
            ids=address(ids, (batch, num_steps), torch.int64, contiguous=False),
            targets=address(targets, (batch, num_steps), torch.int64, contiguous=False),
            strides=[*ids.stride(), *targets.stride()],
            parameters=at_parameters,
            gradients=[address_of_new(gradient) for gradient in gradients],
            dropout=dropout,
            layer_dropout=layer_dropout,
            # From PyTorch's generator, so that manual_seed fixes the masks; none is drawn without dropout, as torch.nn.
            seed=int(torch.randint(2**63 - 1, (), device="cpu")) if max(dropout, layer_dropout) > 0 else 0,
            first_hidden=first_hidden,
            first_cell=first_cell,
            last_hidden=address_of_new(last[0]),
            last_cell=address_of_new(last[-1]) if len(last) == 2 else 0,
            loss=address_of_new(loss),
        )
    # The bindings check the ids while they copy them; a check here would read them a second time.
    except IndexError as error:
        raise InputError(str(error)) from None
    return loss, gradients, last


def descend(
    kernels: Kernels, gradients: Sequence[Tensor], values: Sequence[Tensor], max_norm: float, learning_rate: float
) -> None:
    """Clips gradients to a global norm and takes a step of gradient descent, in place.

    Args:
        kernels: Kernels for one instruction set.
        gradients: Gradients, scaled down if their global norm exceeds ``max_norm``.
        values: Parameters of the gradients, from which ``learning_rate`` times the gradients is subtracted; or none.
        max_norm: Maximum of the global norm; may be infinite.
        learning_rate: Learning rate.

    Raises:
        KernelArgumentError: A tensor is not dense float32 on the CPU, shapes differ, or two tensors share memory.
    """
    if values and len(values) != len(gradients):
        raise KernelArgumentError(f"{len(values)} values do not match {len(gradients)} gradients")
    # Any shape of a gradient; that of its parameter must be equal.
    changed = [address(g, None) for g in gradients]
    changed += [address(v, g.shape) for v, g in zip(values, gradients, strict=False)]
    sizes = [g.numel() for g in gradients]
    # Threads would change shared memory at the same time. Sorted by address, each must end before the next one starts.
    ends = [at + 4 * size for at, size in zip(changed, sizes * 2, strict=False)]
    if any(map(operator.gt, sorted(ends), sorted(changed)[1:])):
        raise KernelArgumentError("the kernels expect tensors that share no memory")
    kernels.descend(
        gradients=changed[: len(sizes)],
        values=changed[len(sizes) :],
        sizes=sizes,
        max_norm=max_norm,
        learning_rate=learning_rate,
        threads=thread_limit(),
    )
