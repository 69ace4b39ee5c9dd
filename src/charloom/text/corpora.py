"""A corpus: a clean text as ids, and the vocabulary between them."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import NoneType

from charloom.arguments import PATH, check_type
from charloom.errors import Argument, CharloomWarning, CorpusError, CorpusUnavailableError, InputError, comma_separated
from charloom.settings.corpus import CorpusSettings, Unit
from charloom.text import encoded_texts
from charloom.text.chunks import beginning, joined, resized
from charloom.text.clean_up import CleanUp
from charloom.text.decoding import decoded
from charloom.text.documents import HUGGING_FACE, joined_documents, open_hugging_face
from charloom.text.encoding import EncodedText, Encoder
from charloom.text.named_corpora import (
    CACHE_VARIABLE,
    NAMED_CORPORA,
    PYTHON_REFERENCE,
    TIME_MACHINE,
    cache_folder,
    read_named,
)
from charloom.text.sources import Progress, TextFiles
from charloom.text.stored_ids import FileNumbers, Integers, StoredIds
from charloom.text.vocabulary import Vocabulary

_IDS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text ready for training.

    It may be larger than memory: ``ids`` reads what it is asked for, and so does
    ``vocabulary.decode(ids[start:stop])``.

    Attributes:
        name: Its name, or its files'.
        ids: The text's ids, (number of tokens,). A slice is an int64 tensor.
        vocabulary: The tokens.
        fingerprint: SHA-256 of the clean text (as UTF-8), hexadecimal.
    """

    name: str
    ids: StoredIds
    vocabulary: Vocabulary
    fingerprint: str

    @property
    def identity(self) -> dict[str, str | int]:
        """Name, fingerprint and length, as JSON values."""
        return {"name": self.name, "sha256": self.fingerprint, "num_chars": len(self.ids)}

    def in_vocabulary(self, vocabulary: Vocabulary) -> "Corpus":
        """The same text with the ids of another model's vocabulary; nothing is read.

        Raises UnknownCharacterError where it lacks characters of this corpus' vocabulary, InputError where it cleans
        texts in another way.
        """
        check_type(Vocabulary, vocabulary=vocabulary)
        if vocabulary == self.vocabulary:
            return self
        if vocabulary.clean_up != self.vocabulary.clean_up or vocabulary.unit != self.vocabulary.unit:
            raise InputError(
                "the corpus was loaded with another unit or clean-up than the vocabulary has: load it with ",
                *comma_separated(
                    Argument(name, value)
                    for name, value in {"unit": vocabulary.unit, **vars(vocabulary.clean_up)}.items()
                ),
            )
        if vocabulary.unit == "byte":
            return self
        new = vocabulary.encode("".join(map(str, self.vocabulary.tokens[1:])))
        return replace(self, ids=self.ids.renumbered([0, *new.tolist()]), vocabulary=vocabulary)

    @cached_property
    def text(self) -> str | bytes:
        """The whole clean text, in memory: str, or bytes where the unit is the byte."""
        starts = range(0, len(self.ids), _IDS_AT_ONCE)
        chunks = [self.vocabulary.decode(self.ids[start : start + _IDS_AT_ONCE]) for start in starts]
        return joined(chunks, self.vocabulary.unit)


def load_corpus(
    source: str | Path | Sequence[str | Path] | None = None,
    *,
    unit: Unit = "char",
    max_chars: int | None = None,
    lowercase: bool | None = None,
    collapse_whitespace: bool | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Loads a text and counts its vocabulary, in one pass.

    A text of more than 32 MiB is kept as ids in the cache folder (CHARLOOM_CACHE names another) and read from there:
    it takes little memory, and is not encoded again while its files do not change.

    Args:
        source: ``"time-machine"``, ``"tiny-shakespeare"`` or ``"python-reference"``; a file, a folder, ``"-"`` for
            standard input, or several of them; ``"hf:NAME"``, ``"hf:NAME:SPLIT"`` or ``"hf:NAME:SPLIT:COLUMN"`` for a
            data set of Hugging Face's hub (``NAME`` may be ``OWNER/NAME@CONFIGURATION``). Files whose names end in
            ``.gz``, ``.xz`` or ``.zst`` are decompressed. Default: ``"time-machine"``, and where it cannot be had (no
            network) the reference text that Python carries, with a warning.
        unit: ``"char"`` or ``"byte"``.
        max_chars: Keep the first so many characters (or bytes) of the clean text, and read no more; all if None.
        lowercase: Lower-case the text. Default: as the named corpus' source does; no for files.
        collapse_whitespace: Turn runs of white space into one space. Default: likewise.
        progress: Called now and then with the bytes read and the bytes there are (of a data set: the characters, None).

    Raises CorpusError for a text that is missing, empty, or not what its unit needs, and for one that there is no room
    for on the disk.
    """
    settings = CorpusSettings(unit, max_chars, lowercase, collapse_whitespace)
    check_type((Callable, NoneType), progress=progress)
    if source is not None:
        check_type((*PATH, Sequence), source=source)
        for one in () if isinstance(source, PATH) else source:
            check_type(PATH, source=one)
    name, text, usual = _find(source, unit)
    settings = replace(
        settings,
        lowercase=usual.lowercase if lowercase is None else lowercase,
        collapse_whitespace=usual.collapse_whitespace if collapse_whitespace is None else collapse_whitespace,
    )
    if not isinstance(text, TextFiles):
        return _encode(name, text, settings, progress)
    path = encoded_texts.path_of(text, settings)
    with encoded_texts.one_at_a_time(path, text.num_bytes):
        if path is not None and (found := encoded_texts.find(path, progress)):
            return _corpus(name, *found, settings)
        corpus = _encode(name, text.chunks(progress), settings, files=text)
    if text.changed:
        warnings.warn(f"{text.name}: changed while it was read", CharloomWarning, stacklevel=2)
    return corpus


def corpus_from(
    documents: str | bytes | Iterable[object],
    *,
    name: str = "text",
    column: str | None = None,
    unit: Unit = "char",
    max_chars: int | None = None,
    lowercase: bool = False,
    collapse_whitespace: bool = False,
    separator: str = "\n",
    progress: Progress | None = None,
) -> Corpus:
    """A corpus of text that is at hand, or that comes from anywhere, once and in chunks.

    Args:
        documents: A text; or texts, such as a list, a generator, or a data set of Hugging Face's ``datasets``,
            streamed or not. Rows of a data set are dictionaries.
        name: What the corpus is called.
        column: Which of a row's columns is the text. Default: ``text``, or the only one that is text.
        unit: As in ``load_corpus``; bytes are taken where it is the byte.
        max_chars: Likewise.
        lowercase: Likewise.
        collapse_whitespace: Likewise.
        separator: What comes after each document that does not end in it, but for the last; ``""`` for chunks of one
            text.
        progress: Called now and then with the number of tokens so far, and None.

    Raises CorpusError for what is empty, or no text.
    """
    settings = CorpusSettings(unit, max_chars, lowercase, collapse_whitespace)
    check_type(str, name=name, separator=separator)
    check_type((str, NoneType), column=column)
    check_type((Callable, NoneType), progress=progress)
    return _encode(name, joined_documents(documents, name, unit, column, separator), settings, progress)


def read_corpus(source: str | Path | Sequence[str | Path], unit: Unit) -> list[tuple[str, str | bytes]]:
    """The text that ``load_corpus`` cleans, as it stands: its files, or a named corpus, each after its name."""
    name, text, _ = _find(source, unit)
    if isinstance(text, TextFiles):
        return text.parts()
    return [(name, joined([*text], unit))]


def _find(
    source: str | Path | Sequence[str | Path] | None, unit: Unit
) -> tuple[str, TextFiles | Iterable[str | bytes], CleanUp]:
    """Name, text as it stands, and the clean-up that is usual for it."""
    if source is None:
        try:
            return _find(TIME_MACHINE, unit)
        except CorpusUnavailableError as error:
            warnings.warn(
                CharloomWarning(*error.parts, ". Training continues with the reference text that Python carries."),
                stacklevel=3,
            )
            name, text, _ = _find(PYTHON_REFERENCE, unit)
            return name, text, NAMED_CORPORA[TIME_MACHINE].clean_up
    sources = [source] if isinstance(source, PATH) else source
    # A str may be a corpus' name; another path is a file's.
    sources = [one if isinstance(one, str) else Path(one) for one in sources]
    source = sources[0] if len(sources) == 1 else None
    if isinstance(source, str) and (source in NAMED_CORPORA or source == PYTHON_REFERENCE):
        data = read_named(source)
        usual = NAMED_CORPORA[source].clean_up if source in NAMED_CORPORA else CleanUp()
        return source, [data] if unit == "byte" else decoded([data], source), usual
    if isinstance(source, str) and source.startswith(HUGGING_FACE):
        documents, column = open_hugging_face(source)
        return source, joined_documents(documents, source, unit, column), CleanUp()
    if not sources:
        raise CorpusError("no text was named")
    if isinstance(source, str):
        _refuse_near_miss(source)
    return ", ".join(Path(s).name or str(s) for s in sources), TextFiles(sources, unit), CleanUp()


def _refuse_near_miss(name: str) -> None:
    """A word that is no path looks like a corpus' name: say which there are."""
    if re.fullmatch(r"[\w-]{2,40}", name) and not Path(name).exists():
        names = ", ".join([*NAMED_CORPORA, PYTHON_REFERENCE])
        raise CorpusError(f"{name}: no such file, and no corpus of that name; corpora: {names}")


def _encode(
    name: str,
    chunks: Iterable[str | bytes],
    settings: CorpusSettings,
    progress: Progress | None = None,
    files: TextFiles | None = None,
) -> Corpus:
    """The one pass. files: Where the chunks come from, if from files. progress: As that of ``corpus_from``."""
    encoder = Encoder(settings.unit, encoded_texts.new_file)
    try:
        clean = _clean_up(settings).each(resized(chunks, settings.unit))
        for chunk in beginning(clean, settings.max_chars):
            with _in_the_cache(name):
                encoder.take(chunk)
            if progress is not None:
                progress(encoder.num_ids, None)
        with _in_the_cache(name):
            encoded = encoder.finish()
        if encoder.file is None:
            return _corpus(name, encoded, encoder.array(), settings)
        if files is not None and not files.changed and (path := encoded_texts.path_of(files, settings)):
            encoded_texts.keep(encoder.file, encoded, files.name, path)
        return _corpus(name, encoded, encoded.in_file(encoder.file), settings)
    finally:
        if encoder.file is not None:
            encoded_texts.discard(encoder.file)


def _corpus(name: str, encoded: EncodedText, stored: Integers | FileNumbers, settings: CorpusSettings) -> Corpus:
    vocabulary = encoded.vocabulary(_clean_up(settings))
    return Corpus(name, encoded.ids(stored, vocabulary), vocabulary, encoded.fingerprint)


def _clean_up(settings: CorpusSettings) -> CleanUp:
    return CleanUp(bool(settings.lowercase), bool(settings.collapse_whitespace))


@contextmanager
def _in_the_cache(name: str) -> Iterator[None]:
    """What cannot be written there is an error with a way out."""
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{cache_folder()}: cannot keep the ids of {name} there ({error.strerror or error}); name a folder with "
            f"room in {CACHE_VARIABLE}"
        ) from None
