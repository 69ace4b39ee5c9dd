"""How surprising a text is to a model.

The protocol: one pass over the text from a zero state, carried through. Each token but the first, which nothing
precedes, is scored by its surprisal: minus the logarithm of the probability that the model gave it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from charloom.arguments import check_type
from charloom.errors import CorpusError, InputError
from charloom.models.predictor import Predictor, check_weights, predicting
from charloom.settings.corpus import LineOrder, UnknownPolicy
from charloom.settings.limits import check_choice, check_count
from charloom.shapes import Ids
from charloom.text.batching import ALL_ROWS, sequential_batches
from charloom.text.chunks import joined, split_lines
from charloom.text.stored_ids import AnyIds

_CHUNK_TOKENS = 2048
"""Tokens read at once: bounds the memory that the logits take."""


def perplexity_of(mean_nats: float) -> float:
    """Perplexity: exp of a mean surprisal; infinite where a float cannot hold it."""
    return math.exp(mean_nats) if mean_nats < 700 else math.inf


@dataclass(frozen=True)
class Evaluation:
    """A text under a model.

    Attributes:
        num_chars: Tokens scored: all but the first (bytes, for a byte model).
        num_bytes: Bytes that the scored tokens take in UTF-8.
        total_nats: Their surprisal, summed.
        num_unknown: Scored tokens that the model does not know, read as ``<unk>``.
    """

    num_chars: int
    num_bytes: int
    total_nats: float
    num_unknown: int = 0

    @property
    def nats_per_char(self) -> float:
        """Mean surprisal in nats: the cross-entropy."""
        return self.total_nats / self.num_chars

    @property
    def bits_per_char(self) -> float:
        """Mean surprisal in bits."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits for each byte of the text in UTF-8."""
        return self.total_nats / math.log(2) / self.num_bytes

    @property
    def perplexity(self) -> float:
        """exp(nats_per_char): 1 for a text foreseen, the vocabulary's length for blind guessing."""
        return perplexity_of(self.nats_per_char)


@dataclass(frozen=True)
class Surprisal:
    r"""A chunk of a text and its surprisal.

    Attributes:
        number: Which chunk of the text, from 1.
        text: The chunk as it was given; bytes that are not UTF-8 as ``\xff``.
        num_chars: Tokens of it that were scored: none for the first character of a text.
        nats: Their surprisal, summed.
        num_unknown: Scored tokens that the model does not know, read as ``<unk>``.
    """

    number: int
    text: str
    num_chars: int
    nats: float
    num_unknown: int = 0

    @property
    def bits(self) -> float:
        """Their surprisal in bits."""
        return self.nats / math.log(2)

    @property
    def bits_per_char(self) -> float:
        """Mean surprisal in bits; 0 where nothing was scored."""
        return self.bits / self.num_chars if self.num_chars else 0.0


Progress: TypeAlias = Callable[[int, int], None]
"""Called now and then with the tokens read and the tokens there are."""


def evaluate(
    model: Predictor, text: str | bytes, *, unknown: UnknownPolicy = "refuse", progress: Progress | None = None
) -> Evaluation:
    """Measures a text, cleaned as the model's training text was.

    Raises UnknownCharacterError for characters the model does not know unless ``unknown`` says otherwise, CorpusError
    for a text of fewer than two tokens, InputError for a model with NaN or infinite weights.
    """
    return evaluate_chunks(model, [text], unknown=unknown, progress=progress)[0]


def evaluate_chunks(
    model: Predictor,
    chunks: Sequence[str | bytes],
    *,
    unknown: UnknownPolicy = "refuse",
    progress: Progress | None = None,
) -> tuple[Evaluation, list[Surprisal]]:
    """As ``evaluate`` on all the chunks joined, in the same one pass, and the surprisal of each.

    ``split_lines`` and ``split_chars`` make the chunks.
    """
    check_type(Predictor, model=model)
    check_type(Sequence, chunks=chunks)
    check_type((Callable, NoneType), progress=progress)
    check_weights(model)
    vocabulary = model.vocabulary
    unknown_id = -1 if vocabulary.unknown_id is None else vocabulary.unknown_id
    chunks = [vocabulary.in_units(chunk) for chunk in chunks]
    cleaned = list(vocabulary.clean_up.each(chunks))
    whole = joined(cleaned, vocabulary.unit)
    # Encoding cleans once more, which changes nothing, so that tokens and cleaned characters stay one to one.
    ids = vocabulary.encode(whole, "unk" if isinstance(unknown, str) and unknown == "skip" else unknown)
    read = (ids != unknown_id if unknown == "skip" else torch.ones_like(ids)).nonzero().flatten()
    ids, scored = ids[read], read[1:]
    if not len(scored):
        raise CorpusError("the text is too short to evaluate: it takes two characters that the model knows")
    lacking = ids[1:] == unknown_id
    nats = torch.zeros(len(scored), dtype=torch.float64, device="cpu")
    done = 0
    for (chunk,) in _score(model, sequential_batches(ids, 1, _CHUNK_TOKENS, 0, with_rest=True)):
        nats[done : done + len(chunk)] = chunk
        done += len(chunk)
        if progress is not None:
            progress(done, len(scored))
    if not nats.isfinite().all():
        raise InputError("the model's predictions are not finite: its weights are too large to compute with")
    scored_text = vocabulary.decode(ids[1:]) if unknown == "skip" else whole[1:]
    ends = torch.tensor([0, *map(len, cleaned)], device="cpu").cumsum(0)

    def sums(values: Tensor) -> list[Any]:
        """Of each chunk. Differences of running sums: a part for each of a million characters would take minutes."""
        running = torch.zeros(len(whole) + 1, dtype=values.dtype, device="cpu")
        running[scored + 1] = values
        return running.cumsum(0)[ends].diff().tolist()

    evaluation = Evaluation(len(scored), _utf8_length(scored_text), float(nats.sum()), int(lacking.sum()))
    columns = zip(chunks, sums(torch.ones_like(scored)), sums(nats), sums(lacking), strict=True)
    return evaluation, [
        Surprisal(number, chunk.decode("utf-8", "backslashreplace") if isinstance(chunk, bytes) else chunk, *of_chunk)
        for number, (chunk, *of_chunk) in enumerate(columns, 1)
    ]


def evaluate_lines(
    model: Predictor,
    text: str | bytes,
    *,
    unknown: UnknownPolicy = "unk",
    sort: LineOrder | None = None,
    top: int | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, list[Surprisal]]:
    """Measures a text and each of its lines, in one pass; finds odd lines in a log.

    Characters that the model does not know are the most surprising ones there are, so by default they do not keep a
    text from being measured. Each costs minus the logarithm of the probability that the model gives to ``<unk>``, which
    stands for all of them, and the cost is part of its line's; ``num_unknown`` says how many they are.

    Args:
        model: A language model.
        text: The text; cleaned as the model's training text was.
        unknown: What to do with characters that the model does not know: read them as ``<unk>`` (unk), leave them out
            (skip), or raise (refuse).
        sort: The most surprising lines first: by their bits, or by their bits per character. If None, the lines are in
            the order of the text, unless ``top`` is given: then they are sorted by bits.
        top: The number of lines to return; all if None.
        progress: Called now and then with the tokens read and the tokens there are.

    Returns:
        The evaluation of the whole text, and the lines.

    Raises:
        SettingsError: If ``sort`` is no order or ``top`` is below 1.
        UnknownCharacterError: If ``unknown`` is refuse and the model does not know a character.
        CorpusError: If the text has fewer than two tokens.
    """
    if sort is not None:
        check_choice("sort", sort, LineOrder)
    if top is not None:
        check_count("top", top, minimum=1)
    check_type(Predictor, model=model)
    units = model.vocabulary.in_units(text)
    evaluation, lines = evaluate_chunks(model, split_lines(units), unknown=unknown, progress=progress)
    if sort == "bits-per-char":
        lines.sort(key=lambda line: line.bits_per_char, reverse=True)
    elif sort == "bits" or top is not None:
        lines.sort(key=lambda line: line.bits, reverse=True)
    return evaluation, lines[:top]


def nats_in_lanes(
    model: Predictor,
    ids: AnyIds,
    num_lanes: int,
    rows: slice = ALL_ROWS,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[float, int]:
    """Surprisal in nats, summed, and the number of ids that it is of; the text in lanes, each from a zero state.

    Lanes are read side by side: many times faster than one pass, and a little higher, as each begins without context.
    What validation during training calls.

    rows: The lanes that are read. progress: Told, again and again, what fraction has been.
    """
    length, num_read = (len(ids) - 1) // num_lanes, len(range(num_lanes)[rows])
    if not num_read:
        return 0.0, 0
    batches = sequential_batches(ids, num_lanes, max(1, _CHUNK_TOKENS // num_read), 0, rows, with_rest=True)
    # Summed as they come: a surprisal takes 8 bytes, which is more than its character did.
    total, done = 0.0, 0
    for nats in _score(model, batches):
        total, done = total + float(nats.sum()), done + nats.shape[1]
        progress(done / length)
    return total, num_read * length


def _score(model: Predictor, batches: Iterable[tuple[Ids, Ids]]) -> Iterator[Tensor]:
    """Surprisal in nats of the targets after the inputs before them, from the first state, carried through.

    Batches and what is yielded for each: (lanes, steps); float64 on the CPU.
    """
    state = None
    for inputs, targets in batches:
        with predicting(model):
            logits, state = model(inputs.to(model.device), model.begin_state(len(inputs)) if state is None else state)
            logits = logits.transpose(0, 1).flatten(0, 1)
            nats = functional.cross_entropy(logits, targets.flatten().to(model.device), reduction="none")
        yield nats.view(len(inputs), -1).double().cpu()


def _utf8_length(text: str | bytes) -> int:
    return len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
