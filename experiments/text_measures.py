"""Measures of generated text: diversity, repetition, loops, and surprisal."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from charloom import LanguageModel, Vocabulary

BURN_IN = 100
"""Characters left out of a mean surprisal: a model predicts the first ones worse, for lack of context."""
_MIN_LOOP_CHARS = 12
"""Minimum length of a loop over all its repetitions; the three dots of an ellipsis do not count."""


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Returns the sequences of n words of a text, which is split at white space."""
    words = text.split()
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def distinct(texts: Sequence[str], n: int) -> float:
    """Returns the share, 0 to 1, of distinct n-grams of words over all texts (Li et al., 2016: distinct-n)."""
    counts = Counter(gram for text in texts for gram in ngrams(text, n))
    return len(counts) / max(1, counts.total())


def repeated(texts: Sequence[str], n: int) -> float:
    """Returns the share of n-grams of words that occurred before in the same text (Welleck et al., 2020: seq-rep-n)."""
    grams = [ngrams(text, n) for text in texts]
    return 1 - sum(len(set(each)) for each in grams) / max(1, sum(map(len, grams)))


def known_words(texts: Sequence[str], corpus: str) -> float:
    """Returns the share of words that occur in the corpus. The last word of a text is ignored, as it may be cut off."""
    known = set(corpus.split())
    words = [word for text in texts for word in text.split()[:-1]]
    return sum(word in known for word in words) / max(1, len(words))


@dataclass(frozen=True)
class Loop:
    """The loop in which a text ends.

    Attributes:
        start: Index of the loop's first character.
        period: Length of one repetition in characters.
    """

    start: int
    period: int


def find_loop(text: str, *, rounds: int = 3) -> Loop | None:
    """Returns the loop of the shortest period that ends the text, repeated at least ``rounds`` times, or None."""
    for period in range(1, len(text) // rounds + 1):
        length = 0  # of the suffix that equals the text one period earlier
        while length < len(text) - period and text[-1 - length] == text[-1 - length - period]:
            length += 1
        if length >= (rounds - 1) * period and length + period >= _MIN_LOOP_CHARS:
            return Loop(len(text) - length - period, period)
    return None


def mean_nats(model: LanguageModel, texts: Sequence[str]) -> float:
    """Returns mean nats per character after the first ``BURN_IN``; the texts have one length and form a batch."""
    return float(nats(model, texts)[:, BURN_IN:].mean())


def nats(model: LanguageModel, texts: Sequence[str]) -> torch.Tensor:
    """Returns the surprisal in nats (texts, characters - 1) of all characters but the first, from a zero state."""
    ids = _ids(model, texts)
    with torch.inference_mode():
        logits, _ = model(ids[:, :-1])
        return functional.cross_entropy(logits.permute(1, 2, 0), ids[:, 1:], reduction="none")


def next_probabilities(model: LanguageModel, text: str) -> torch.Tensor:
    """Returns the predicted distribution after each character but the last, (characters - 1, vocabulary)."""
    with torch.inference_mode():
        logits, _ = model(_ids(model, [text])[:, :-1])
        probabilities: torch.Tensor = logits[:, 0].softmax(-1)
        return probabilities


def _ids(model: LanguageModel, texts: Sequence[str]) -> torch.Tensor:
    """Returns the ids (texts, characters) of generated texts, without normalization."""
    # The model's own vocabulary would collapse two generated spaces into one.
    vocabulary = Vocabulary([str(token) for token in model.vocabulary.tokens[1:]])
    return torch.stack([vocabulary.encode(text, "unk") for text in texts])


def mean_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """Returns a table cell: mean ± standard deviation over seeds."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"
