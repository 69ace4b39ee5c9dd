"""Evaluation of a text line by line, for example to find anomalies in a log."""

import re
from typing import Any, cast

from charloom.arguments import TEXT, check_type
from charloom.inference.evaluation import AnyPredictor, evaluate_chunks
from charloom.inference.surprisal import Evaluation, Progress, Surprisal
from charloom.models.predictor import Predictor
from charloom.settings.corpus import LineOrder, UnknownPolicy
from charloom.settings.limits import check_choice, check_count
from charloom.text.chunks import split_lines

_SORT_KEYS = {
    "bits": lambda line: line.bits,
    "bits-per-char": lambda line: line.bits_per_char,
    "bits-per-word": lambda line: line.bits_per_word,
}
_PIECES, _BYTE_PIECES = re.compile(r"\S+|\s+"), re.compile(rb"\S+|\s+")  # words, and the spaces between them
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
            (``"bits-per-char"``), or by the mean bits of the words without digits (``"bits-per-word"``). If None, the
            lines are in the order of the text, unless ``top`` is passed: then they are sorted by bits.
        top: The number of lines to return; all if None.
        progress: Callback, as in ``evaluate``.

    Returns:
        The evaluation of the whole text, and the lines.

    Raises:
        SettingsError: ``unknown`` or ``sort`` is not one of these, or ``top`` is below 1.
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
    lines = split_lines(text)
    of_lines = [_split_words(line) for line in lines]
    evaluation, pieces = evaluate_chunks(
        model,
        [piece for of_line in of_lines for piece in of_line],
        adaptive=adaptive,
        unknown=unknown,
        progress=progress,
    )
    found = iter(pieces)
    results = [
        _sum_pieces(number, line, [next(found) for _ in of_line], of_line)
        for number, (line, of_line) in enumerate(zip(lines, of_lines, strict=True), 1)
    ]
    if sort is not None or top is not None:
        results.sort(key=_SORT_KEYS[sort or "bits"], reverse=True)
    return evaluation, results[:top]


def _split_words(line: str | bytes) -> list[Any]:
    """Returns the words of a line and the spaces between them; joined, they are the line."""
    return _BYTE_PIECES.findall(line) if isinstance(line, bytes) else _PIECES.findall(line)


def _sum_pieces(number: int, line: str | bytes, pieces: list[Surprisal], texts: list[Any]) -> Surprisal:
    """Returns the surprisal of a line, from that of its words and spaces."""
    # Times, counters, addresses and ids contain digits: they differ from line to line, which is no news.
    no_word: Any = _NO_BYTE_WORD if isinstance(line, bytes) else _NO_WORD
    words = [piece.bits for piece, text in zip(pieces, texts, strict=True) if not no_word.match(text)]
    return Surprisal(
        number,
        line.decode("utf-8", "backslashreplace") if isinstance(line, bytes) else line,
        sum(piece.num_chars for piece in pieces),
        sum(piece.nats for piece in pieces),
        sum(piece.num_unknown for piece in pieces),
        sum(words) / len(words) if words else 0.0,
    )
