"""Evaluation of a text line by line, for example to find anomalies in a log."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import cast

from charloom.errors import Argument, SettingsError
from charloom.inference.adaptive import score_adaptively, score_lines_alone
from charloom.inference.evaluation import AnyPredictor, score_chunks
from charloom.inference.rarity import MIN_KNOWN_LINES, RarityScale
from charloom.inference.surprisal import (
    EvaluatedText,
    Progress,
    ScoredChunks,
    Surprisal,
    Surprisals,
    square_unexpected_bits,
)
from charloom.inference.words import mean_bits_per_word
from charloom.models.predictor import Predictor
from charloom.settings.corpus import LineOrder, UnknownPolicy
from charloom.settings.limits import check_choice, check_count
from charloom.text.chunks import split_lines
from charloom_codec.arguments import PATH, TEXT, check_type
from charloom_codec.format.opening import AnyModel, open_engine_before_held_out

_SORT_KEYS: dict[str, Callable[[Surprisal], tuple[float, ...]]] = {
    "bits": lambda line: (line.bits,),
    "bits-per-char": lambda line: (line.bits_per_char,),
    "bits-per-word": lambda line: (line.bits_per_word,),
    "rarity": lambda line: (line.rarity or 0.0, line.bits),  # common lines have the same rarity
}


def evaluate_lines(
    model: AnyPredictor,
    text: str | bytes,
    *,
    adaptive: bool = False,
    independent: bool = False,
    unknown: UnknownPolicy = "unk",
    sort: LineOrder | None = None,
    top: int | None = None,
    progress: Progress | None = None,
) -> EvaluatedText:
    """Measures the surprisal of a text and of each of its lines in one pass, for example to find anomalies in a log.

    Such a search looks for out-of-vocabulary characters, so by default they are scored, too: the surprisal of each is
    that of ``<unk>``, which stands for all of them, and is part of its line's. ``num_unknown`` is the number of such
    characters.

    Args:
        model: A language model; if ``adaptive`` or ``independent``, a LanguageModel or a model folder, whose priming is
            used.
        text: The text, which is normalized like the model's training text unless ``adaptive`` or ``independent``.
        adaptive: True for the adaptive predictor, as in ``evaluate``: a message that repeats is surprising once.
        independent: True for the adaptive predictor, but for each line as if it was the first one after the training
            text: all occurrences of a message have about the same scores.
        unknown: Treatment of characters that are out of vocabulary: read as ``<unk>`` (unk), omit (skip), or raise
            (refuse).
        sort: Order of the lines, the most surprising first: by bits (``"bits"``), by bits per character
            (``"bits-per-char"``), by the mean bits of the words without digits (``"bits-per-word"``), or by rarity
            (``"rarity"``). If None, the lines are in the order of the text, unless ``top`` is passed: then they are
            sorted by rarity if it is measured, otherwise by bits.
        top: The number of lines to return; all if None.
        progress: Callback, as in ``evaluate``.

    Returns:
        The evaluation of the whole text, and the lines. They have a rarity if ``adaptive`` or ``independent``, and
        ``model`` is a folder whose priming text has at least 20 lines that were held out from training.

    Raises:
        SettingsError: ``unknown`` or ``sort`` is not one of these, or ``top`` is below 1; both ``adaptive`` and
            ``independent`` are True; or lines are to be sorted by rarity, which was not measured.
        UnknownCharacterError: ``unknown`` is refuse and a character is out of vocabulary.
        CorpusError, ModelFolderError, InputError: As for ``evaluate``.
    """
    if sort is not None:
        check_choice("sort", sort, LineOrder)
    if top is not None:
        check_count("top", top, minimum=1)
    check_type(bool, adaptive=adaptive)
    check_type(bool, independent=independent)
    if adaptive and independent:
        raise SettingsError(
            Argument("adaptive", True), " and ", Argument("independent", True), " contradict each other"
        )
    check_type(TEXT, text=text)
    by_mixture = adaptive or independent
    if not by_mixture:
        check_type(Predictor, model=model)
        # Before splitting: a byte model's lines are lines of bytes, even if the text is a str.
        text = cast("Predictor", model).vocabulary.in_units(text)
    # Before the scale, whose measurement takes seconds.
    check_choice("unknown", unknown, UnknownPolicy)
    check_type((Callable, NoneType), progress=progress)
    scale = make_rarity_scale(model, independent=independent) if by_mixture and isinstance(model, PATH) else None
    if sort == "rarity" and scale is None:
        folder = f", and a model folder with at least {MIN_KNOWN_LINES} lines that were held out from training"
        mode = Argument("adaptive", True), " or ", Argument("independent", True)
        raise SettingsError("rarity needs ", *mode, folder, setting="sort")
    if independent:
        evaluation, lines = _describe_lines(score_lines_alone(cast("AnyModel", model), split_lines(text), progress))
    else:
        evaluation, lines = _describe_lines(
            score_chunks(model, split_lines(text), adaptive=adaptive, unknown=unknown, progress=progress)
        )
    if scale is not None:
        lines = Surprisals(replace(line, rarity=scale.compute_rarity(line)) for line in lines)
    if sort is not None or top is not None:
        lines.sort(key=_SORT_KEYS[sort or ("bits" if scale is None else "rarity")], reverse=True)
    return EvaluatedText(evaluation, lines[:top])


def make_rarity_scale(folder: str | Path, *, independent: bool = False) -> RarityScale | None:
    """Returns the scale of a model folder; None if too few lines were held out.

    Args:
        folder: Model folder.
        independent: True for the scale of lines that are scored alone.

    Raises:
        ModelFolderError: A file of the folder cannot be read or written.
    """
    engine, held_out = open_engine_before_held_out(folder)
    if held_out.count(b"\n") < MIN_KNOWN_LINES:
        return None
    # As bytes, because not every text is UTF-8: scores by character differ little.
    score = score_lines_alone if independent else score_adaptively
    return RarityScale(_describe_lines(score(engine, split_lines(held_out)))[1], independent=independent)


def _describe_lines(scored: ScoredChunks) -> EvaluatedText:
    """Returns the evaluation of a text, and its lines with the scores of their words and characters."""
    unit_bits = scored.unit_nats / math.log(2)
    unexpected_bits: list[float] | list[None] = [None] * len(scored.chunks)
    if scored.expected_nats is not None:
        excess_bits = unit_bits - scored.expected_nats / math.log(2)
        unexpected_bits = list(map(math.sqrt, scored.add_up(square_unexpected_bits(excess_bits))))
    bits_per_word = [
        mean_bits_per_word(line, unit_bits[start : start + len(line)])
        for start, line in zip(scored.get_ends().tolist(), scored.units, strict=False)
    ]
    lines = zip(scored.get_surprisals(), bits_per_word, unexpected_bits, strict=True)
    return EvaluatedText(
        scored.evaluation,
        Surprisals(replace(line, bits_per_word=bits, unexpected_bits=beyond) for line, bits, beyond in lines),
    )
