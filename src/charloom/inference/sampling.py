"""Sampling of the next token from logits."""

import numpy as np
import torch
from torch import Tensor

from charloom.settings.sampling import SamplingSettings
from charloom.shapes import StepIds, StepLogits


def probabilities(logits: StepLogits, settings: SamplingSettings) -> Tensor:
    """Computes the distribution from which the next token is drawn.

    It is p^alpha, renormalized, with the settings' exponent alpha, then truncated to ``top_k``, then to ``top_p``.
    Greedy choice is the limit of an infinite exponent (temperature 0): probability 1 for the most likely token, the
    first of several with equal logits.

    Args:
        logits: (batch, vocabulary); -inf for a token that is never chosen.
        settings: Sampling settings.

    Returns:
        Probabilities (batch, vocabulary), float64; each row sums to 1.
    """
    if settings.greedy:
        greedy = torch.zeros_like(logits, dtype=torch.float64)
        return greedy.scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    # float64, as in the kernels: the same draw must choose the same token in both.
    logits = logits.double()
    # The maximum is subtracted before the multiplication, so that no exponent overflows.
    scores = (logits - logits.amax(-1, keepdim=True)) * settings.exponent
    # 0 * -inf is NaN: a forbidden token stays forbidden at every exponent.
    scores = scores.masked_fill(logits == -torch.inf, -torch.inf)
    # Stable: among equal scores the lower id comes first, in the kernels too.
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    if settings.top_k is not None:
        ranked[..., settings.top_k :] = -torch.inf
    weights = torch.softmax(ranked, dim=-1)
    if settings.top_p is not None:
        # A token stays if the tokens before it have not reached top_p: the first always stays.
        before = weights.cumsum(-1) - weights
        weights = weights.masked_fill(before >= settings.top_p, 0.0)
        weights = weights / weights.sum(-1, keepdim=True)
    return torch.zeros_like(weights).scatter_(-1, order, weights)


class Sampler:
    """Chooses tokens for several sequences, each with its own counter-based random stream.

    For one seed, sequence i makes the same choices whatever the number of sequences, on every machine that computes the
    same probabilities. Source of the streams: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011
    (Philox).
    """

    def __init__(self, settings: SamplingSettings, num_sequences: int) -> None:
        self.settings = settings
        # Without a seed, SeedSequence takes its entropy from the operating system.
        entropy = np.random.SeedSequence(settings.seed).entropy
        self._streams = [
            np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy, spawn_key=(i,))))
            for i in range(num_sequences)
        ]

    def draws(self, num_steps: int) -> Tensor:
        """Draws the random numbers of the next tokens: float64 (sequences, steps), uniform in [0, 1)."""
        return torch.from_numpy(np.stack([stream.random(num_steps) for stream in self._streams]))

    def choose(self, logits: StepLogits) -> StepIds:
        """Chooses one token for each sequence, (batch,), by inverting the cumulative distribution."""
        if self.settings.greedy:
            return logits.argmax(-1)
        weights = probabilities(logits, self.settings).cpu()
        cumulative = weights.cumsum(-1)
        targets = self.draws(1) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, targets, right=True).squeeze(-1)
        # Rounding can put a target at the end of the range: then it is the last token with a probability above 0.
        last = weights.shape[-1] - 1 - (weights > 0).flip(-1).to(torch.int8).argmax(-1)
        return torch.minimum(chosen, last).to(logits.device)
