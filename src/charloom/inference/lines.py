"""Evaluation of a text line by line, for example to find anomalies in a log."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from charloom.arguments import PATH, TEXT, check_type
from charloom.codec.engines.opening import open_engine_before_end
from charloom.errors import Argument, SettingsError
from charloom.inference.evaluation import AnyPredictor, evaluate_chunks
from charloom.inference.rarity import MIN_KNOWN_LINES, RarityScale
from charloom.inference.surprisal import Evaluation, Progress, Surprisal
from charloom.models.predictor import Predictor
from charloom.settings.corpus import LineOrder, UnknownPolicy
from charloom.settings.limits import check_choice, check_count
from charloom.text.chunks import split_lines

_SORT_KEYS: dict[str, Callable[[Surprisal], tuple[float, ...]]] = {
    "bits": lambda line: (line.bits,),
    "bits-per-char": lambda line: (line.bits_per_char,),
    "bits-per-word": lambda line: (line.bits_per_word,),
    "rarity": lambda line: (line.rarity or 0.0, line.bits),  # common lines have the same rarity
}
_CHUNKS, _BYTE_CHUNKS = re.compile(r"\S+|\s+"), re.compile(rb"\S+|\s+")  # words, and the spaces between them
_NO_WORD, _NO_BYTE_WORD = re.compile(r"\s|.*\d", re.DOTALL), re.compile(rb"\s|.*\d", re.DOTALL)


def evaluate_lines(
    model: AnyPredictor,
    text: str | bytes,
    *,
    adaptive: bool = False,
    unknown: UnknownPolicy = "unk",
    sort: LineOrder | None = None,
    top: int | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, list[Surprisal]]:
    """Measures the surprisal of a text and of each of its lines in one pass, for example to find anomalies in a log.

    Such a search looks for out-of-vocabulary characters, so by default they are scored, too: the surprisal of each is
    that of ``<unk>``, which stands for all of them, and is part of its line's. ``num_unknown`` is the number of such
    characters.

    Args:
        model: A language model; if ``adaptive``, a LanguageModel or a model folder, whose priming is used.
        text: The text, which is normalized like the model's training text unless ``adaptive``.
        adaptive: True for the adaptive predictor, as in ``evaluate``: a message that repeats is surprising once.
        unknown: Treatment of characters that are out of vocabulary: read as ``<unk>`` (unk), omit (skip), or raise
            (refuse).
        sort: Order of the lines, the most surprising first: by bits (``"bits"``), by bits per character
            (``"bits-per-char"``), by the mean bits of the words without digits (``"bits-per-word"``), or by rarity
            (``"rarity"``). If None, the lines are in the order of the text, unless ``top`` is passed: then they are
            sorted by rarity if it is measured, otherwise by bits.
        top: The number of lines to return; all if None.
        progress: Callback, as in ``evaluate``.

    Returns:
        The evaluation of the whole text, and the lines. They have a rarity if ``adaptive`` and ``model`` is a folder
        with at least 20 lines at the end of its priming text.

    Raises:
        SettingsError: ``unknown`` or ``sort`` is not one of these, or ``top`` is below 1; or lines are to be sorted by
            rarity, which was not measured.
        UnknownCharacterError: ``unknown`` is refuse and a character is out of vocabulary.
        CorpusError, ModelFolderError, InputError: As for ``evaluate``.
    """
    if sort is not None:
        check_choice("sort", sort, LineOrder)
    if top is not None:
        check_count("top", top, minimum=1)
    check_type(bool, adaptive=adaptive)
    check_type(TEXT, text=text)
    if not adaptive:
        check_type(Predictor, model=model)
        # Before splitting: a byte model's lines are lines of bytes, even if the text is a str.
        text = cast("Predictor", model).vocabulary.in_units(text)
    scale = _make_scale(model, as_bytes=isinstance(text, bytes)) if adaptive and isinstance(model, PATH) else None
    if sort == "rarity" and scale is None:
        raise SettingsError(
            *("rarity needs ", Argument("adaptive", True), f" and a model folder that knows {MIN_KNOWN_LINES} lines"),
            setting="sort",
        )
    evaluation, lines = _evaluate_words(model, text, adaptive=adaptive, unknown=unknown, progress=progress)
    if scale is not None:
        lines = [replace(line, rarity=scale.compute_rarity(line)) for line in lines]
    if sort is not None or top is not None:
        lines.sort(key=_SORT_KEYS[sort or ("bits" if scale is None else "rarity")], reverse=True)
    return evaluation, lines[:top]


def _make_scale(folder: str | Path, *, as_bytes: bool) -> RarityScale | None:
    """Returns the scale of a model folder; None if it knows too few lines."""
    engine, known = open_engine_before_end(folder)
    if known.count(b"\n") < MIN_KNOWN_LINES:
        return None
    text = known if as_bytes else known.decode("utf-8", "replace")
    return RarityScale(_evaluate_words(engine, text, adaptive=True)[1])


def _evaluate_words(
    model: AnyPredictor,
    text: str | bytes,
    *,
    adaptive: bool,
    unknown: UnknownPolicy = "unk",
    progress: Progress | None = None,
) -> tuple[Evaluation, list[Surprisal]]:
    """Measures a text, and its lines with their words."""
    lines = split_lines(text)
    of_lines = [_split_words(line) for line in lines]
    all_chunks = [chunk for of_line in of_lines for chunk in of_line]
    evaluation, chunks = evaluate_chunks(model, all_chunks, adaptive=adaptive, unknown=unknown, progress=progress)
    found = iter(chunks)
    return evaluation, [
        _sum_chunks(number, line, [next(found) for _ in of_line], of_line)
        for number, (line, of_line) in enumerate(zip(lines, of_lines, strict=True), 1)
    ]


def _split_words(line: str | bytes) -> list[Any]:
    """Returns the words of a line and the spaces between them; joined, they are the line."""
    return _BYTE_CHUNKS.findall(line) if isinstance(line, bytes) else _CHUNKS.findall(line)


def _sum_chunks(number: int, line: str | bytes, chunks: list[Surprisal], texts: list[Any]) -> Surprisal:
    """Returns the surprisal of a line, from that of its words and spaces."""
    # Times, counters, addresses and ids contain digits: they differ from line to line, which is no news.
    no_word: Any = _NO_BYTE_WORD if isinstance(line, bytes) else _NO_WORD
    words = [chunk.bits for chunk, text in zip(chunks, texts, strict=True) if not no_word.match(text)]
    return Surprisal(
        number,
        line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line,
        sum(chunk.num_chars for chunk in chunks),
        sum(chunk.nats for chunk in chunks),
        sum(chunk.num_unknown for chunk in chunks),
        sum(words) / len(words) if words else 0.0,
    )
