"""The prefixes of a training run's samples."""

import re
import warnings

from charloom.errors import CharloomWarning, UnknownCharacterError
from charloom.models.language_model import LanguageModel
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus

_PREFIX_CHARS = 20
"""Length of the default prefix, which is the start of the text."""
_SEARCHED_CHARS = 1 << 20
"""Characters that are searched for a readable default prefix."""
# A run of at least 4 printable ASCII bytes, the default of the program `strings`.
_PRINTABLE_RUN = re.compile(rb"[ -~]{4,%d}" % _PREFIX_CHARS)


def sample_prefixes(model: LanguageModel, corpus: Corpus, settings: TrainingSettings) -> list[str | bytes]:
    """Returns the prefixes whose characters are in the vocabulary; the start of the text if there are none."""
    known: list[str | bytes] = []
    for prefix in settings.prefix:
        try:
            model.vocabulary.encode(prefix)
            known.append(prefix)
        except UnknownCharacterError as error:
            # Samples only illustrate a run, so a prefix that cannot be encoded does not end it.
            warnings.warn(CharloomWarning(f"no samples for the prefix {prefix!r}: ", *error.message), stacklevel=3)
    # Only the start of the text is decoded: the corpus may be larger than memory.
    return known or [_start_of(corpus.vocabulary.decode(corpus.ids[:_SEARCHED_CHARS]))]


def _start_of(text: str | bytes) -> str | bytes:
    """Returns the first non-blank line, truncated; for binary data, the first run of printable ASCII characters."""
    if isinstance(text, str):
        # A text of whitespace only has no non-blank line, hence the default.
        return next(iter(text.strip().splitlines()), text)[:_PREFIX_CHARS]
    first_line = next(iter(text.strip().splitlines()), text)[:_PREFIX_CHARS]
    # The cut may go through a UTF-8 character, which has at most 4 bytes: up to 3 undecodable bytes are dropped.
    readable = first_line.decode("utf-8", "ignore").encode()
    is_text = first_line.startswith(readable) and len(first_line) - len(readable) < 4
    if readable and is_text and readable.decode().isprintable():
        first_line = readable
    elif word := _PRINTABLE_RUN.search(text):
        first_line = word[0]
    return first_line
