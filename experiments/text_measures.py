"""How diverse a text is, how much it repeats itself, whether it goes round in a circle, how surprising it is."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from charloom import LanguageModel, Vocabulary

BURN_IN = 100
"""Characters that a model reads before it is asked: the first ones surprise it for want of context."""
_MIN_LOOP = 12
"""Characters in all its rounds: the three dots of an ellipsis are none."""


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Sequences of n words, each text's white space apart."""
    words = text.split()
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def distinct(texts: Sequence[str], n: int) -> float:
    """Different sequences of n words over all of them, in all texts together, 0 to 1 (Li et al., 2016: distinct-n)."""
    counts = Counter(gram for text in texts for gram in ngrams(text, n))
    return len(counts) / max(1, counts.total())


def repeated(texts: Sequence[str], n: int) -> float:
    """Share of sequences of n words that stood before in the same text (Welleck et al., 2020: seq-rep-n)."""
    grams = [ngrams(text, n) for text in texts]
    return 1 - sum(len(set(each)) for each in grams) / max(1, sum(map(len, grams)))


def known_words(texts: Sequence[str], corpus: str) -> float:
    """Share of words, white space apart, that the corpus has; the last of a text, which may be cut, left out."""
    known = set(corpus.split())
    words = [word for text in texts for word in text.split()[:-1]]
    return sum(word in known for word in words) / max(1, len(words))


@dataclass(frozen=True)
class Loop:
    """How a text goes round in a circle to its end.

    Attributes:
        start: The character from which on it does.
        period: Characters from one round to the next.
    """

    start: int
    period: int


def find_loop(text: str, *, rounds: int = 3) -> Loop | None:
    """The circle of the least period that the text ends in, having gone round so often at least; None where none."""
    for period in range(1, len(text) // rounds + 1):
        length = 0  # of the end that is as what stands a period before
        while length < len(text) - period and text[-1 - length] == text[-1 - length - period]:
            length += 1
        if length >= (rounds - 1) * period and length + period >= _MIN_LOOP:
            return Loop(len(text) - length - period, period)
    return None


def mean_nats(model: LanguageModel, texts: Sequence[str]) -> float:
    """Mean surprisal of a character in nats after the first ``BURN_IN``; texts of one length, side by side."""
    return float(nats(model, texts)[:, BURN_IN:].mean())


def nats(model: LanguageModel, texts: Sequence[str]) -> torch.Tensor:
    """Surprisal in nats of each character but the first, (texts, characters - 1), each text from a zero state."""
    ids = _ids(model, texts)
    with torch.inference_mode():
        logits, _ = model(ids[:, :-1])
        return functional.cross_entropy(logits.permute(1, 2, 0), ids[:, 1:], reduction="none")


def chances_of(model: LanguageModel, text: str) -> torch.Tensor:
    """The probabilities of all characters after each of a text's but the last, (characters - 1, vocabulary)."""
    with torch.inference_mode():
        logits, _ = model(_ids(model, [text])[:, :-1])
        chances: torch.Tensor = logits[:, 0].softmax(-1)
        return chances


def _ids(model: LanguageModel, texts: Sequence[str]) -> torch.Tensor:
    """As they are: the model's own vocabulary would make one space of two that it wrote."""
    vocabulary = Vocabulary([str(token) for token in model.vocabulary.tokens[1:]])
    return torch.stack([vocabulary.encode(text, "unk") for text in texts])


def mean_and_spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation over seeds, as a cell of a table."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"
