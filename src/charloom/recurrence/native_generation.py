"""The loop over characters in one native call for many of them: step, logits, sampling.

Choices are those of ``sampling.Sampler`` for the same logits and the same random draws, which come from Python: a seed
gives the same text with the loop in either place.
"""

from typing import Any

import torch
from torch import Tensor

from charloom.recurrence.dispatch import chosen_kernels
from charloom.recurrence.equations import CellState
from charloom.recurrence.native import CELLS
from charloom.recurrence.native_step import StepParameters
from charloom.settings.sampling import GenerationPrecision, SamplingSettings


class NativeGenerator:
    """A language model's weights, packed for generation once; later changes of the parameters are not seen."""

    def __init__(
        self, parameters: StepParameters, mode: str, num_layers: int, precision: GenerationPrecision = "float32"
    ) -> None:
        """Packs the weights, as float32 or as int8 with a scale for each row.

        int8 is for cells whose hidden states lie between -1 and 1: all but ``RNN_RELU``.
        """
        # After torch: see dispatch.
        import charloom._kernels as native

        vocabulary, hidden_size = parameters.output.shape
        inputs = vocabulary if parameters.embedding is None else parameters.embedding.shape[1]
        dense = [None if p is None else p.detach().contiguous() for p in parameters.in_order()]
        self._vocabulary = vocabulary
        self._generator: Any = native.Generator(
            chosen_kernels(),
            [CELLS.index(mode), int(precision == "int8"), hidden_size, num_layers, vocabulary, inputs],
            [0 if p is None else p.data_ptr() for p in dense],
        )

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
        num_samples, num_steps = draws.shape
        assert all(t.is_contiguous() for t in (logits, *state, draws))
        ids = torch.empty(num_samples, num_steps, dtype=torch.int64)
        sampling = (
            settings.greedy,
            0.0 if settings.greedy else settings.exponent,
            min(settings.top_k or 0, self._vocabulary),
            1.0 if settings.top_p is None else settings.top_p,
            -1 if forbidden is None else forbidden,
        )
        addresses = [t.data_ptr() for t in (draws, logits, *state)]
        self._generator.run(num_samples, num_steps, sampling, *addresses, *[0] * (2 - len(state)), ids.data_ptr())
        return ids
