"""Generation with a language model in one native call for any number of tokens, from weights packed once."""

import torch
from torch import Tensor

from charloom.recurrence.backend import Kernels
from charloom.recurrence.equations import CellState
from charloom.recurrence.kernel_arguments import (
    ModelShape,
    OptionalTensors,
    address,
    address_of_new,
    parameter_addresses,
    state_addresses,
)
from charloom.settings.sampling import SamplingSettings


class NativeGenerator:
    """Generation of many tokens in one native call: time step, logits and sampling.

    For the same logits and random draws it chooses the same tokens as ``sampling.Sampler``. The draws come from Python,
    so that a seed gives the same text with and without native kernels.
    """

    def __init__(self, kernels: Kernels, shape: ModelShape, int8: bool, parameters: OptionalTensors) -> None:
        """Packs a copy of a language model's weights; later changes of the model have no effect.

        Args:
            kernels: Kernels for one instruction set.
            shape: Sizes that the parameters are compared with.
            int8: Round weights and hidden states to 8 bits, with a scale for each row; else float32.
            parameters: Parameters in the order of ``shape.parameters``.
        """
        self._shape = shape
        self._generator = kernels.generator(shape, int8=int8, parameters=parameter_addresses(parameters, shape))

    def run(
        self, logits: Tensor, state: CellState, settings: SamplingSettings, forbidden: int | None, draws: Tensor
    ) -> Tensor:
        """Generates one token for each draw.

        Args:
            logits: Logits of the first tokens, (samples, vocabulary); overwritten with those after the last token.
            state: State before the first tokens, tensors (layers, samples, hidden); overwritten with the last state.
            settings: Sampling settings; their seed is not used.
            forbidden: Id of a token that is never chosen; None to allow all.
            draws: Random numbers, float64 (samples, steps), uniform in [0, 1).

        Returns:
            The token ids, int64 (samples, steps).
        """
        samples, steps = draws.shape
        # The device is given, because the process may have another default device.
        ids = torch.empty(draws.shape, dtype=torch.int64, device="cpu")
        # Checked before the call, which overwrites them.
        hidden, cell = state_addresses(self._shape, samples, state)
        self._generator.run(
            samples=samples,
            steps=steps,
            greedy=settings.greedy,
            # The exponent of a greedy choice is infinite; the kernels have a flag of its own for it.
            exponent=0.0 if settings.greedy else settings.exponent,
            # The kernels take numbers only: 0 for no top_k, 1 for no top_p, -1 for no forbidden token.
            top_k=min(settings.top_k or 0, self._shape.vocabulary),
            top_p=1.0 if settings.top_p is None else settings.top_p,
            forbidden=-1 if forbidden is None else forbidden,
            draws=address(draws, (samples, steps), torch.float64),
            logits=address(logits, (samples, self._shape.vocabulary)),
            hidden=hidden,
            cell=cell,
            ids=address_of_new(ids),
        )
        return ids
