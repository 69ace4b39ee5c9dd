"""What the samples that a run draws go on from."""

import re
import warnings
from typing import Any

from charloom.errors import CharloomWarning, UnknownCharacterError
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus
from charloom.text.pieces import AnyText

_PREFIX_CHARS = 20
"""How much of the text's beginning the samples go on from where no prefix is given."""
_LOOKED_AT = 1 << 20
"""Characters that the beginning is looked for in."""
_READABLE = re.compile(rb"[ -~]{4,%d}" % _PREFIX_CHARS)


def sample_prefixes(model: LanguageModel, corpus: Corpus, settings: TrainingSettings) -> list[str | bytes]:
    """The prefixes the model can read; the beginning of the text where there are none."""
    known: list[str | bytes] = []
    for prefix in settings.prefix:
        try:
            model.vocabulary.encode(prefix)
            known.append(prefix)
        except UnknownCharacterError as error:
            warnings.warn(CharloomWarning(f"no samples for the prefix {prefix!r}: ", *error.message), stacklevel=3)
    return known or [_beginning(corpus.vocabulary.decode(corpus.ids[:_LOOKED_AT]))]


def _beginning(text: AnyText) -> AnyText:
    """The first line with something on it, cut short; of bytes that are no text, the first word that can be read."""
    whole: Any = text
    first_line: Any = next(iter(whole.strip().splitlines()), whole)[:_PREFIX_CHARS]
    if isinstance(text, bytes):
        readable = first_line.decode("utf-8", "ignore").encode()
        whole_but_for_a_cut_character = first_line.startswith(readable) and len(first_line) - len(readable) < 4
        if readable and whole_but_for_a_cut_character and readable.decode().isprintable():
            first_line = readable
        elif word := _READABLE.search(text):
            first_line = word[0]
    beginning: AnyText = first_line
    return beginning
