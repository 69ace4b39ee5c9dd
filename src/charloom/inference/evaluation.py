"""Evaluation of a model on a text: surprisal, bits per character and perplexity.

The text is read in one pass from a zero state. Each token except the first, which nothing precedes, is scored by its
surprisal: minus the logarithm of the probability that the model assigns to it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import NoneType
from typing import TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional

from charloom.errors import CorpusError, InputError
from charloom.inference.adaptive import score_adaptively
from charloom.inference.surprisal import EvaluatedText, Evaluation, Progress, ScoredChunks
from charloom.models.predictor import TRAIN_AGAIN, Predictor, check_weights, predicting
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.limits import check_choice
from charloom.shapes import Ids
from charloom.text.batching import ALL_ROWS, sequential_batches
from charloom.text.chunks import join_chunks
from charloom.text.stored_ids import AnyIds
from charloom_codec.arguments import check_type
from charloom_codec.format.opening import AnyModel

AnyPredictor: TypeAlias = Predictor | AnyModel
"""A language model; for an adaptive evaluation a model folder or a LanguageModel."""
_CHUNK_TOKENS = 2048
"""Number of tokens per call of the model: limits the memory for the logits."""


def evaluate(
    model: AnyPredictor,
    text: str | bytes,
    *,
    adaptive: bool = False,
    unknown: UnknownPolicy = "refuse",
    progress: Progress | None = None,
) -> Evaluation:
    """Measures the surprisal of a text, which is normalized like the model's training text unless ``adaptive``.

    Args:
        model: A language model; if ``adaptive``, a LanguageModel or a model folder, whose priming is used.
        text: The text.
        adaptive: True for the predictor of ``Codec.compress``: the network mixed with context models that learn from
            the text while they read it. All bytes of the text are then scored as they are, including the first:
            nothing is normalized, and nothing is out of vocabulary.
        unknown: Treatment of characters that are out of vocabulary: raise (refuse), read as ``<unk>`` (unk), or omit
            (skip). Without effect if ``adaptive``.
        progress: Callback, called after every 2,048 scored tokens and after the last; if ``adaptive``, after
            every 65,536 bytes, by any thread.

    Returns:
        The evaluation.

    Raises:
        SettingsError: ``unknown`` is not one of these.
        UnknownCharacterError: ``unknown`` is refuse and a character is out of vocabulary.
        CorpusError: The text has fewer than two tokens; if ``adaptive``, it is empty.
        ModelFolderError: A file of the model folder cannot be read or written.
        InputError: An argument is of the wrong type, or the model's weights or predictions have NaN or infinite values.
    """
    return evaluate_chunks(model, [text], adaptive=adaptive, unknown=unknown, progress=progress)[0]


def evaluate_chunks(
    model: AnyPredictor,
    chunks: Sequence[str | bytes],
    *,
    adaptive: bool = False,
    unknown: UnknownPolicy = "refuse",
    progress: Progress | None = None,
) -> EvaluatedText:
    """Measures the concatenation of chunks as ``evaluate`` does, and the surprisal of each chunk in the same pass.

    ``split_lines`` and ``split_chars`` split a text into chunks. The other arguments, and the errors, are those of
    ``evaluate``.
    """
    scored = score_chunks(model, chunks, adaptive=adaptive, unknown=unknown, progress=progress)
    return EvaluatedText(scored.evaluation, scored.get_surprisals())


def score_chunks(
    model: AnyPredictor,
    chunks: Sequence[str | bytes],
    *,
    adaptive: bool,
    unknown: UnknownPolicy,
    progress: Progress | None,
) -> ScoredChunks:
    """Measures the concatenation of chunks; the arguments and errors are those of ``evaluate_chunks``."""
    check_type(bool, adaptive=adaptive)
    check_type(Sequence, chunks=chunks)
    check_type((Callable, NoneType), progress=progress)
    if adaptive:
        check_choice("unknown", unknown, UnknownPolicy)
        return score_adaptively(cast("AnyModel", model), chunks, progress)
    check_type(Predictor, model=model)
    model = cast("Predictor", model)
    # Before the text is encoded, which takes long for a large one.
    check_weights(model)
    vocabulary = model.vocabulary
    # A vocabulary can lack <unk>, as that of bytes does; no id equals -1.
    unknown_id = -1 if vocabulary.unknown_id is None else vocabulary.unknown_id
    chunks = [vocabulary.in_units(chunk) for chunk in chunks]
    normalized = list(vocabulary.clean_up.each(chunks))
    # Normalized chunk by chunk, so that the length of each normalized chunk is known; ``each`` handles whitespace
    # that crosses a border.
    whole = join_chunks(normalized, vocabulary.unit)
    # Encoding normalizes a second time, which changes nothing: tokens and normalized characters still correspond.
    ids = vocabulary.encode(whole, "unk" if isinstance(unknown, str) and unknown == "skip" else unknown)
    read = (ids != unknown_id if unknown == "skip" else torch.ones_like(ids)).nonzero().flatten()
    # ``scored`` are positions in the normalized text, to which the surprisals are assigned below.
    ids, scored = ids[read], read[1:]
    if not len(scored):
        raise CorpusError("the text is too short to evaluate: pass at least two characters of the model's vocabulary")
    is_unknown = ids[1:] == unknown_id
    # float64: the sum over millions of tokens would lose digits in float32.
    nats = torch.zeros(len(scored), dtype=torch.float64, device="cpu")
    done = 0
    for (scores,) in _score(model, sequential_batches(ids, 1, _CHUNK_TOKENS, 0, include_rest=True)):
        nats[done : done + len(scores)] = scores
        done += len(scores)
        if progress is not None:
            progress(done, len(scored))
    # Finite weights can still overflow in the products; NaN would otherwise appear as a result.
    if not nats.isfinite().all():
        raise InputError(
            "the model's predictions are not finite: its weights are too large to compute with", hint=TRAIN_AGAIN
        )
    scored_text = vocabulary.decode(ids[1:]) if unknown == "skip" else whole[1:]
    scored_bytes = scored_text if isinstance(scored_text, bytes) else scored_text.encode("utf-8", "surrogatepass")
    ends = torch.tensor([0, *map(len, normalized)], device="cpu").cumsum(0)

    def spread(values: Tensor) -> Tensor:
        """Returns values of the scored tokens at their positions in the normalized text, and 0 at the others."""
        return torch.zeros(len(whole), dtype=values.dtype, device="cpu").index_put((scored,), values)

    def count(values: Tensor) -> list[int]:
        """Sums integers of the scored tokens over each chunk."""
        return functional.pad(spread(values).cumsum(0), (1, 0))[ends].diff().tolist()

    evaluation = Evaluation(len(scored), len(scored_bytes), float(nats.sum()), int(is_unknown.sum()))
    num_chars, num_unknown = count(torch.ones_like(scored)), count(is_unknown.long())
    return ScoredChunks(evaluation, chunks, normalized, num_chars, num_unknown, spread(nats).numpy())


def sum_nats_in_parts(
    model: Predictor,
    ids: AnyIds,
    num_parts: int,
    parts: slice = ALL_ROWS,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[float, int]:
    """Measures a text in parts of equal length, each from a zero state, for validation during training.

    The parts are read in parallel, many times faster than in one pass. The surprisal is slightly higher than in one
    pass, because each part starts without context.

    Args:
        model: A language model.
        ids: Token ids of the text.
        num_parts: Number of parts into which the text is divided. Up to ``num_parts - 1`` ids at its end are not
            scored, so that all parts have the same length.
        parts: Parts to read. Default: all.
        progress: Callback for the fraction that has been read, 0 to 1.

    Returns:
        The sum of the surprisals in nats, NaN or infinite if predictions are (unlike ``evaluate``, this does not
        raise), and the number of scored ids.
    """
    length, num_read = (len(ids) - 1) // num_parts, len(range(num_parts)[parts])
    if not num_read:
        return 0.0, 0
    # Fewer tokens per part if there are many parts, so that the logits take the same memory.
    batches = sequential_batches(ids, num_parts, max(1, _CHUNK_TOKENS // num_read), 0, parts, include_rest=True)
    # Summed batch by batch: a surprisal takes 8 bytes, more than its character in the stored text.
    total, done = 0.0, 0
    for nats in _score(model, batches):
        total, done = total + float(nats.sum()), done + nats.shape[1]
        progress(done / length)
    return total, num_read * length


def _score(model: Predictor, batches: Iterable[tuple[Ids, Ids]]) -> Iterator[Tensor]:
    """Yields the surprisals of each batch's targets in nats, (batch, steps), float64 on the CPU.

    The state is carried from batch to batch, from the zero state before the first.
    """
    state = None
    for inputs, targets in batches:
        # Not around the yield: the context would otherwise apply to the caller's code.
        with predicting(model):
            logits, state = model(inputs.to(model.device), model.begin_state(len(inputs)) if state is None else state)
            # Logits are time first, targets batch first.
            logits = logits.transpose(0, 1).flatten(0, 1)
            nats = functional.cross_entropy(logits, targets.flatten().to(model.device), reduction="none")
        # The callers sum: float32 would lose digits over a long text.
        yield nats.view(len(inputs), -1).double().cpu()
