"""From logits to a choice."""

import numpy as np
import torch
from torch import Tensor

from charloom.settings.sampling import SamplingSettings
from charloom.shapes import StepIds, StepLogits


def probabilities(logits: StepLogits, settings: SamplingSettings) -> Tensor:
    """What the next token is drawn from, (batch, vocabulary), in float64; each row sums to 1.

    p^alpha renormalised, for alpha the settings' exponent, then cut to ``top_k``, then to ``top_p``. As the exponent
    goes to infinity (the temperature to 0) this tends to all weight on the most likely token, where greedy choice puts
    it; the first of several equals.
    """
    if settings.greedy:
        greedy = torch.zeros_like(logits, dtype=torch.float64)
        return greedy.scatter_(-1, logits.argmax(-1, keepdim=True), 1.0)
    logits = logits.double()
    # From the largest down before the power is taken, so that no exponent overflows.
    scores = (logits - logits.amax(-1, keepdim=True)) * settings.exponent
    # 0 * -inf: a forbidden token stays forbidden whatever the power.
    scores = scores.masked_fill(logits == -torch.inf, -torch.inf)
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    if settings.top_k is not None:
        ranked[..., settings.top_k :] = -torch.inf
    weights = torch.softmax(ranked, dim=-1)
    if settings.top_p is not None:
        # A token stays while those before it have not reached top_p; the first always does.
        before = weights.cumsum(-1) - weights
        weights = weights.masked_fill(before >= settings.top_p, 0.0)
        weights = weights / weights.sum(-1, keepdim=True)
    return torch.zeros_like(weights).scatter_(-1, order, weights)


class Sampler:
    """Chooses tokens for several sequences, each with its own counter-based random stream.

    Sequence i of a seed makes the same choices however many sequences there are beside it, on every machine that
    computes the same probabilities. Source of the streams: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3,
    2011 (Philox).
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
        """What the next tokens are chosen with: float64 (sequences, steps), uniform in [0, 1)."""
        return torch.from_numpy(np.stack([stream.random(num_steps) for stream in self._streams]))

    def choose(self, logits: StepLogits) -> StepIds:
        """One token for each sequence, (batch,), by inverting the cumulative distribution."""
        if self.settings.greedy:
            return logits.argmax(-1)
        weights = probabilities(logits, self.settings).cpu()
        cumulative = weights.cumsum(-1)
        targets = self.draws(1) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, targets, right=True).squeeze(-1)
        # Rounding can leave a target at the very end: the last token that has any weight is meant.
        last = weights.shape[-1] - 1 - (weights > 0).flip(-1).to(torch.int8).argmax(-1)
        return torch.minimum(chosen, last).to(logits.device)
