"""The texts that a run's samples begin with."""

import re
import warnings

from charloom.errors import CharloomWarning, UnknownCharacterError
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus

_PREFIX_CHARS = 20
"""Length of the default prefix, the beginning of the text."""
_LOOKED_AT = 1 << 20
"""Characters that the beginning is looked for in."""
_READABLE = re.compile(rb"[ -~]{4,%d}" % _PREFIX_CHARS)


def sample_prefixes(model: LanguageModel, corpus: Corpus, settings: TrainingSettings) -> list[str | bytes]:
    """The prefixes the model can read; the beginning of the text if there are none."""
    known: list[str | bytes] = []
    for prefix in settings.prefix:
        try:
            model.vocabulary.encode(prefix)
            known.append(prefix)
        except UnknownCharacterError as error:
            warnings.warn(CharloomWarning(f"no samples for the prefix {prefix!r}: ", *error.message), stacklevel=3)
    return known or [_beginning(corpus.vocabulary.decode(corpus.ids[:_LOOKED_AT]))]


def _beginning(text: str | bytes) -> str | bytes:
    """The first line with something on it, cut short; of bytes that are no text, the first word that can be read."""
    if isinstance(text, str):
        return next(iter(text.strip().splitlines()), text)[:_PREFIX_CHARS]
    first_line = next(iter(text.strip().splitlines()), text)[:_PREFIX_CHARS]
    readable = first_line.decode("utf-8", "ignore").encode()
    whole_but_for_a_cut_character = first_line.startswith(readable) and len(first_line) - len(readable) < 4
    if readable and whole_but_for_a_cut_character and readable.decode().isprintable():
        first_line = readable
    elif word := _READABLE.search(text):
        first_line = word[0]
    return first_line
