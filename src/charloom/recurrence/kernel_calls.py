"""The only calls of the native kernels: tensors in, addresses out.

The kernels read and write memory at bare addresses. Each address is taken here, from a tensor whose shape, dtype and
layout have just been compared with what the kernel expects (``kernel_arguments``), and from nowhere else.

All functions raise KernelArgumentError for a tensor that is not what the sizes say.
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
    addresses,
    memory_cell_address,
    own_address,
    parameter_addresses,
    state_addresses,
)
from charloom.recurrence.threads import thread_limit
from charloom.settings.sampling import SamplingSettings


class LayerCall(NamedTuple):
    """One layer in one direction.

    Attributes:
        kernels: The kernels of one instruction set.
        shape: Sizes that the tensors are compared with.
        backward_in_time: Read the steps from the last to the first.
        x: Input, (steps, batch, inputs).
        h: First hidden state, (batch, hidden).
        c: First memory cell of an LSTM, (batch, hidden).
        weights: Input weights, hidden weights and two biases, which may be None.
    """

    kernels: Kernels
    shape: LayerShape
    backward_in_time: bool
    x: Tensor
    h: Tensor
    c: Tensor | None
    weights: OptionalTensors

    def arguments(self) -> dict[str, Any]:
        """What the kernels' functions for both ways have in common, by name."""
        return {
            "sizes": self.shape,
            "backward_in_time": self.backward_in_time,
            "threads": thread_limit(),
            "weights": addresses(self.weights, self.shape.weights),
            "x": address(self.x, self.shape.input),
            "first_hidden": address(self.h, self.shape.state),
            "first_cell": memory_cell_address(self.shape, self.c),
        }


def layer_forward(call: LayerCall, keep: bool) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Runs a layer over time.

    Returns hidden states (steps, batch, hidden), the last one, the last memory cell of an LSTM and, to ``keep``, the
    reserve that ``layer_backward`` needs, uint8.
    """
    arguments, h, c = call.arguments(), call.h, call.c
    # new_empty, not empty: neither the default dtype nor the default device of the process is the kernels'.
    y = h.new_empty(call.shape.steps, *call.shape.state)
    last_h, last_c = torch.empty_like(h), None if c is None else torch.empty_like(c)
    reserve = h.new_empty(call.kernels.reserve_bytes(call.shape), dtype=torch.uint8) if keep else None
    call.kernels.layer_forward(
        **arguments,
        y=own_address(y),
        last_hidden=own_address(last_h),
        last_cell=own_address(last_c),
        reserve=own_address(reserve),
    )
    return y, last_h, last_c, reserve


def layer_backward(
    call: LayerCall, reserve: Tensor, upstream: tuple[Tensor, Tensor, Tensor | None], needs_dx: bool
) -> list[Tensor | None]:
    """Returns the gradients of x, h, c and the four weights; None for what is None or not needed.

    call: As ``layer_forward`` had it, of the same instruction set. reserve: As it was filled there; it is overwritten.
    upstream: Gradients of hidden states, last hidden state and last memory cell.
    """
    kernels, shape, _, x, h, c, weights = call
    dy, dh, dc = upstream
    arguments = call.arguments()
    gradients = [None if t is None else torch.empty_like(t) for t in (x if needs_dx else None, h, c, *weights)]
    dx, d_first_hidden, d_first_cell, *d_weights = map(own_address, gradients)
    kernels.layer_backward(
        **arguments,
        gradients=d_weights,
        reserve=address(reserve, (kernels.reserve_bytes(shape),), torch.uint8),
        dy=address(dy, (shape.steps, *shape.state)),
        d_last_hidden=address(dh, shape.state),
        d_last_cell=memory_cell_address(shape, dc),
        dx=dx,
        d_first_hidden=d_first_hidden,
        d_first_cell=d_first_cell,
    )
    return gradients


class Step(NamedTuple):
    """The inputs of a training step but for the parameters.

    Attributes:
        kernels: The kernels of one instruction set.
        shape: Sizes that the tensors are compared with.
        precision: A number of ``PRECISIONS``.
        ids: int64 (batch, steps), of any strides.
        targets: As ``ids``.
        state: Hidden state and, for an LSTM, memory cell: (layers, batch, hidden).
        dropout: Probability, of what the first layer and the output layer read.
        layer_dropout: Probability, between the layers.
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
    """Returns a minibatch's mean loss in nats, (), all gradients, None where the parameter is, and the last state.

    parameters: As ``shape.parameters``; the embedding is None for one-hot input, biases of layers may be. Raises
    InputError for an id that is not in the vocabulary.
    """
    kernels, shape, precision, ids, targets, state, dropout, layer_dropout = step
    batch, num_steps = ids.shape
    first_hidden, first_cell = state_addresses(shape, batch, state)
    at_parameters = parameter_addresses(parameters, shape)
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
            ids=address(ids, (batch, num_steps), torch.int64, contiguous=False),
            targets=address(targets, (batch, num_steps), torch.int64, contiguous=False),
            strides=[*ids.stride(), *targets.stride()],
            parameters=at_parameters,
            gradients=[own_address(gradient) for gradient in gradients],
            dropout=dropout,
            layer_dropout=layer_dropout,
            seed=int(torch.randint(2**63 - 1, (), device="cpu")) if max(dropout, layer_dropout) > 0 else 0,
            first_hidden=first_hidden,
            first_cell=first_cell,
            last_hidden=own_address(last[0]),
            last_cell=own_address(last[-1]) if len(last) == 2 else 0,
            loss=own_address(loss),
        )
    except IndexError as error:
        raise InputError(str(error)) from None
    return loss, gradients, last


class NativeGenerator:
    """The loop over characters in one native call for many of them: step, logits, sampling.

    Choices are those of ``sampling.Sampler`` for the same logits and the same random draws, which come from Python: a
    seed gives the same text with the loop in either place.
    """

    def __init__(self, kernels: Kernels, shape: ModelShape, int8: bool, parameters: OptionalTensors) -> None:
        """Packs a language model's weights; later changes of them are not seen.

        int8: Round the weights to 8 bits with a scale for each row, if the cell is ``bounded``; else float32.
        parameters: As in ``language_model_step``.
        """
        self._shape = shape
        self._generator = kernels.generator(shape, int8=int8, parameters=parameter_addresses(parameters, shape))

    def run(
        self, logits: Tensor, state: CellState, settings: SamplingSettings, forbidden: int | None, draws: Tensor
    ) -> Tensor:
        """Chooses and reads as many tokens as there are draws.

        Args:
            logits: (samples, vocabulary), what the first tokens are chosen by; afterwards those of the next, in place.
            state: tensors (layers, samples, hidden), before; afterwards the state after the last token, in place.
            settings: How to choose.
            forbidden: A token that is never chosen.
            draws: float64 (samples, steps), uniform in [0, 1).

        Returns:
            The tokens, (samples, steps).
        """
        samples, steps = draws.shape
        ids = torch.empty(draws.shape, dtype=torch.int64, device="cpu")
        hidden, cell = state_addresses(self._shape, samples, state)
        self._generator.run(
            samples=samples,
            steps=steps,
            greedy=settings.greedy,
            exponent=0.0 if settings.greedy else settings.exponent,
            top_k=min(settings.top_k or 0, self._shape.vocabulary),
            top_p=1.0 if settings.top_p is None else settings.top_p,
            forbidden=-1 if forbidden is None else forbidden,
            draws=address(draws, (samples, steps), torch.float64),
            logits=address(logits, (samples, self._shape.vocabulary)),
            hidden=hidden,
            cell=cell,
            ids=own_address(ids),
        )
        return ids


def descend(
    kernels: Kernels, gradients: Sequence[Tensor], values: Sequence[Tensor], max_norm: float, learning_rate: float
) -> None:
    """Scales the gradients down to a global norm of ``max_norm``, which may be infinite; in place.

    values: As many tensors, less ``learning_rate`` times their gradients afterwards; or none. Raises
    KernelArgumentError for two tensors that share memory, too: threads would change it at the same time.
    """
    if values and len(values) != len(gradients):
        raise KernelArgumentError(f"{len(values)} values do not fit {len(gradients)} gradients")
    changed = [address(g, None) for g in gradients]
    changed += [address(v, g.shape) for v, g in zip(values, gradients, strict=False)]
    sizes = [g.numel() for g in gradients]
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
