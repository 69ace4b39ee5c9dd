"""A corpus: a clean text, its ids, and the vocabulary between them."""

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from charloom.errors import CharloomWarning, CorpusError, CorpusUnavailableError
from charloom.settings.corpus import CorpusSettings, Unit
from charloom.shapes import TextIds
from charloom.text.clean_up import CleanUp
from charloom.text.named_corpora import NAMED_CORPORA, PYTHON_REFERENCE, TIME_MACHINE, read_named
from charloom.text.sources import decode_utf8, read_sources
from charloom.text.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text ready for training.

    Attributes:
        name: Its name, or its files'.
        text: The clean text: str, or bytes where the unit is the byte.
        ids: The text's ids, (number of tokens,).
        vocabulary: The tokens.
    """

    name: str
    text: str | bytes
    ids: TextIds
    vocabulary: Vocabulary

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the clean text (as UTF-8), hexadecimal."""
        data = self.text if isinstance(self.text, bytes) else self.text.encode("utf-8")
        return hashlib.sha256(data).hexdigest()


def with_vocabulary(corpus: Corpus, vocabulary: Vocabulary) -> Corpus:
    """The same text in another vocabulary's ids. Raises UnknownCharacterError for characters that it lacks."""
    if corpus.vocabulary == vocabulary:
        return corpus
    return replace(corpus, ids=vocabulary.encode(corpus.text), vocabulary=vocabulary)


def load_corpus(
    source: str | Path | Sequence[str | Path] | None = None,
    *,
    unit: Unit = "char",
    max_chars: int | None = None,
    lowercase: bool | None = None,
    collapse_whitespace: bool | None = None,
) -> Corpus:
    """Loads a text and counts its vocabulary.

    Args:
        source: ``"time-machine"``, ``"tiny-shakespeare"`` or ``"python-reference"``; a file, a folder, ``"-"`` for
            standard input, or several of them. Default: ``"time-machine"``, and where it cannot be had (no network)
            the reference text that Python carries, with a warning.
        unit: ``"char"`` or ``"byte"``.
        max_chars: Keep the first so many characters (or bytes) of the clean text; all of them if None.
        lowercase: Lower-case the text. Default: as the named corpus' source does; no for files.
        collapse_whitespace: Turn runs of white space into one space. Default: likewise.

    Raises CorpusError for a text that is missing, empty, or not what its unit needs.
    """
    CorpusSettings(unit, max_chars, lowercase, collapse_whitespace)  # refuses what cannot be
    name, text, usual = _read(source, unit)
    clean_up = CleanUp(
        usual.lowercase if lowercase is None else lowercase,
        usual.collapse_whitespace if collapse_whitespace is None else collapse_whitespace,
    )
    text = clean_up(text)[:max_chars]
    vocabulary = Vocabulary(clean_up=clean_up) if isinstance(text, bytes) else Vocabulary.of_text(text, clean_up)
    return Corpus(name, text, vocabulary.encode(text), vocabulary)


def _read(source: str | Path | Sequence[str | Path] | None, unit: Unit) -> tuple[str, str | bytes, CleanUp]:
    """Name, text as it stands, and the clean-up that is usual for it."""
    if source is None:
        try:
            return _read(TIME_MACHINE, unit)
        except CorpusUnavailableError as error:
            warnings.warn(
                f"{error}. Going on with the reference text that Python carries instead.", CharloomWarning, stacklevel=3
            )
            name, text, _ = _read(PYTHON_REFERENCE, unit)
            return name, text, NAMED_CORPORA[TIME_MACHINE].clean_up
    if not isinstance(source, (str, Path)) and len(source) == 1:
        (source,) = source
    if isinstance(source, str) and (source in NAMED_CORPORA or source == PYTHON_REFERENCE):
        data = read_named(source)
        usual = NAMED_CORPORA[source].clean_up if source in NAMED_CORPORA else CleanUp()
        return source, data if unit == "byte" else decode_utf8(data, source), usual
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    if not sources:
        raise CorpusError("no text was named")
    if isinstance(source, str):
        _refuse_near_miss(source)
    return ", ".join(Path(s).name or str(s) for s in sources), read_sources(sources, unit), CleanUp()


def _refuse_near_miss(name: str) -> None:
    """A word that is no path looks like a corpus' name: say which there are."""
    if re.fullmatch(r"[\w-]{2,40}", name) and not Path(name).exists():
        names = ", ".join([*NAMED_CORPORA, PYTHON_REFERENCE])
        raise CorpusError(f"{name}: no such file, and no corpus of that name; corpora: {names}")
