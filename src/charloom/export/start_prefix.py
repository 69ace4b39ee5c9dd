"""The prefix with which the page of a model starts."""

from pathlib import Path

from charloom.errors import ModelFolderError
from charloom.models.language_model import LanguageModel
from charloom_codec.model.priming import Priming
from charloom_codec.named_models.finding import find_folder

_MAX_CHARS = 40


def find_start_prefix(model: LanguageModel, path: Path | None = None) -> str:
    """Returns a prefix from the training: the first one of its samples, or the start of a line of the priming text.

    By default, the prefix of the samples is the start of the training text. If it has no space, it may be a list of
    characters or half a word, and the priming text is a better start.

    Args:
        model: The model.
        path: Folder or name of the model, which may have a priming; None if there is no folder.

    Returns:
        The prefix; empty if the model has none, or one that is not text.
    """
    recorded = _first_text(model.provenance.get("prefix"))
    training = model.provenance.get("training")
    chosen = _first_text(training.get("prefix")) if isinstance(training, dict) else ""
    if path is None or " " in recorded or (recorded and chosen):
        return recorded
    return _find_line(path) or recorded


def _first_text(texts: object) -> str:
    """Returns the first of several texts; empty if there is none, since a folder may contain anything."""
    first = texts[0] if isinstance(texts, list | tuple) and texts else ""
    return first if isinstance(first, str) else ""


def _find_line(path: Path) -> str:
    """Returns the start of the first whole line of the priming text that has several words, cut after a word."""
    try:
        text = Priming.load(find_folder(path)).text
    except ModelFolderError:  # generation does not need it
        return ""
    # The priming may start within a line.
    for line in text.partition(b"\n")[2].splitlines():
        try:
            start = line.decode().strip()
        except UnicodeDecodeError:
            continue
        if len(start) > _MAX_CHARS:
            start = start[: _MAX_CHARS + 1].rpartition(" ")[0]
        if " " in start and start.isprintable():
            return start
    return ""
