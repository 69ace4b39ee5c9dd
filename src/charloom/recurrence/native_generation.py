"""The loop over characters in one native call for many of them: step, logits, sampling.

Choices are those of ``sampling.Sampler`` for the same logits and the same random draws, which come from Python: a seed
gives the same text with the loop in either place.
"""

import torch
from torch import Tensor

from charloom.recurrence.backend import backend
from charloom.recurrence.equations import CellState
from charloom.recurrence.kernel_calls import Generator
from charloom.recurrence.native_step import StepParameters
from charloom.settings.sampling import GenerationPrecision, SamplingSettings


class NativeGenerator:
    """A language model's weights, packed for generation once; later changes of the parameters are not seen."""

    def __init__(self, parameters: StepParameters, mode: str, precision: GenerationPrecision = "float32") -> None:
        """Packs the weights, as float32 or as int8 with a scale for each row.

        int8 is for cells whose hidden states lie between -1 and 1: all but ``RNN_RELU``.
        """
        dense = [None if p is None else p.detach().contiguous() for p in parameters.in_order()]
        shape = parameters.shape(mode)
        self._vocabulary = shape.vocabulary
        self._generator = Generator(backend().kernels, shape, precision == "int8", dense)

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

        Returns the tokens, (samples, steps).
        """
        ids = torch.empty(draws.shape, dtype=torch.int64, device="cpu")
        sampling = (
            settings.greedy,
            0.0 if settings.greedy else settings.exponent,
            min(settings.top_k or 0, self._vocabulary),
            1.0 if settings.top_p is None else settings.top_p,
            -1 if forbidden is None else forbidden,
        )
        self._generator.run(sampling, draws, logits, state, ids)
        return ids
