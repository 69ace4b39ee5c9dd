"""Corpora: normalized texts as token ids, each with its vocabulary."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import NoneType

from charloom.errors import Argument, CharloomWarning, CorpusError, CorpusUnavailableError, InputError, join_with_commas
from charloom.settings.corpus import CorpusSettings, Unit
from charloom.text import encoded_texts
from charloom.text.chunks import join_chunks, resize_chunks, take_first
from charloom.text.clean_up import CleanUp
from charloom.text.decoding import decode_utf8
from charloom.text.documents import HUGGING_FACE, join_documents, open_hugging_face
from charloom.text.encoding import EncodedText, Encoder
from charloom.text.named_corpora import (
    CACHE_VARIABLE,
    NAMED_CORPORA,
    PYTHON_REFERENCE,
    TIME_MACHINE,
    cache_folder,
    read_named_corpus,
)
from charloom.text.sources import Progress, TextFiles
from charloom.text.stored_ids import FileNumbers, Integers, StoredIds
from charloom.text.vocabulary import Vocabulary
from charloom_codec.arguments import PATH, check_type

_IDS_PER_READ = 1 << 22
"""Number of ids that are decoded at once, 32 MiB as int64."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text ready for training.

    The text may be larger than memory: indexing ``ids`` reads only the requested part, and
    ``vocabulary.decode(ids[start:stop])`` returns its text.

    Attributes:
        name: Name of the corpus, or the names of its files.
        ids: Token ids of the text, (number of tokens,). A slice is an int64 tensor.
        vocabulary: Vocabulary of the text.
        fingerprint: SHA-256 of the normalized text (as UTF-8), hexadecimal.
    """

    name: str
    ids: StoredIds
    vocabulary: Vocabulary
    fingerprint: str

    @property
    def identity(self) -> dict[str, str | int]:
        """Identity of the text, as JSON values: ``name``, ``sha256`` (the fingerprint), ``num_chars`` (the length)."""
        return {"name": self.name, "sha256": self.fingerprint, "num_chars": len(self.ids)}

    def in_vocabulary(self, vocabulary: Vocabulary) -> "Corpus":
        """Returns the same text with the ids of another vocabulary, without reading the text.

        Raises UnknownCharacterError if that vocabulary lacks characters of this corpus's vocabulary, and InputError if
        its unit or its normalization differs.
        """
        check_type(Vocabulary, vocabulary=vocabulary)
        if vocabulary == self.vocabulary:
            return self
        if vocabulary.clean_up != self.vocabulary.clean_up or vocabulary.unit != self.vocabulary.unit:
            raise InputError(
                "the corpus differs from the vocabulary in unit or normalization: load it with ",
                *join_with_commas(
                    Argument(name, value)
                    for name, value in {"unit": vocabulary.unit, **vars(vocabulary.clean_up)}.items()
                ),
            )
        # All vocabularies of bytes have the same ids.
        if vocabulary.unit == "byte":
            return self
        # Only the table from stored numbers to ids changes: the text may be gigabytes in a file.
        new = vocabulary.encode("".join(map(str, self.vocabulary.tokens[1:])))
        return replace(self, ids=self.ids.with_new_ids([0, *new.tolist()]), vocabulary=vocabulary)

    @cached_property
    def text(self) -> str | bytes:
        """The whole normalized text, in memory: str, or bytes if the unit is the byte."""
        # In parts: at once, the int64 ids would take eight times the memory of a text stored in one byte per id.
        starts = range(0, len(self.ids), _IDS_PER_READ)
        chunks = [self.vocabulary.decode(self.ids[start : start + _IDS_PER_READ]) for start in starts]
        return join_chunks(chunks, self.vocabulary.unit)


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

    A text whose ids take more than 32 MiB is stored as ids in the cache folder (set by CHARLOOM_CACHE) and read from
    there. It then takes little memory, and it is not encoded again until its files change.

    Args:
        source: ``"time-machine"``, ``"tiny-shakespeare"`` or ``"python-reference"``; a file, a folder, ``"-"`` for
            standard input, or a sequence of files and folders; ``"hf:NAME"``, ``"hf:NAME:SPLIT"`` or
            ``"hf:NAME:SPLIT:COLUMN"`` for a dataset of the Hugging Face hub (``NAME`` may be
            ``OWNER/NAME@CONFIGURATION``). Files with the suffixes ``.gz``, ``.xz`` and ``.zst`` are decompressed.
            Default: ``"time-machine"``; if it is not available (no network), Python's own reference text, with a
            warning.
        unit: Unit of a token, ``"char"`` or ``"byte"``.
        max_chars: Maximum number of characters (or bytes) of the normalized text; reading stops there. None for all.
        lowercase: True to convert the text to lowercase. Default: the named corpus's own setting; False for files.
        collapse_whitespace: True to replace each run of whitespace with one space. Default: as for ``lowercase``.
        progress: Callback that receives the number of bytes read and the total, or None if the total is not known. For
            a named corpus or a dataset it receives the number of tokens so far, and None.

    Warns if a file changes while it is read. Raises CorpusError for a text that is missing, empty or not valid in its
    unit, and if the disk has no room for the ids.
    """
    settings = CorpusSettings(unit, max_chars, lowercase, collapse_whitespace)
    check_type((Callable, NoneType), progress=progress)
    if source is not None:
        check_type((*PATH, Sequence), source=source)
        for one in () if isinstance(source, PATH) else source:
            check_type(PATH, source=one)
    name, text, default = _open_source(source, unit)
    settings = replace(
        settings,
        lowercase=default.lowercase if lowercase is None else lowercase,
        collapse_whitespace=default.collapse_whitespace if collapse_whitespace is None else collapse_whitespace,
    )
    # Not cached: named corpora are short, and changes of a dataset cannot be detected.
    if not isinstance(text, TextFiles):
        return _encode(name, text, settings, progress)
    path = encoded_texts.cache_path(text, settings)
    # Locked before the search: a process that waited for another one then finds the text already encoded.
    with encoded_texts.lock_encoding(path, text.num_bytes):
        if path is not None and (found := encoded_texts.find(path, progress)):
            return _make_corpus(name, *found, settings)
        corpus = _encode(name, (chunk for _, chunk in text.chunks(progress)), settings, files=text)
    # The corpus is usable, though it may mix two versions of the file. It was not cached.
    if text.has_changed:
        warnings.warn(f"{text.name}: changed while it was being read", CharloomWarning, stacklevel=2)
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
    """Creates a corpus from a text in memory, or from an iterable of texts that is read once.

    Ids that take more than 32 MiB are stored in a temporary file in the cache folder (set by CHARLOOM_CACHE).

    Args:
        documents: A text, or an iterable of texts: a list, a generator, or a dataset of Hugging Face's ``datasets``,
            streamed or not. Rows of a dataset are dictionaries.
        name: Name of the corpus.
        column: Name of the column that holds the text. Default: ``text``, or the only column with text.
        unit: Unit of a token, ``"char"`` or ``"byte"``. Documents of type bytes require ``"byte"``.
        max_chars: Maximum number of characters (or bytes) of the normalized text; reading stops there. None for all.
        lowercase: True to convert the text to lowercase.
        collapse_whitespace: True to replace each run of whitespace with one space.
        separator: Text inserted between two documents unless the first ends with it; ``""`` if the documents are
            chunks of one text.
        progress: Callback that receives the number of tokens so far, and None.

    Raises CorpusError if the documents are empty or not text, and if the disk has no room for the ids.
    """
    settings = CorpusSettings(unit, max_chars, lowercase, collapse_whitespace)
    check_type(str, name=name, separator=separator)
    check_type((str, NoneType), column=column)
    check_type((Callable, NoneType), progress=progress)
    return _encode(name, join_documents(documents, name, unit, column, separator), settings, progress)


def read_raw_texts(source: str | Path | Sequence[str | Path], unit: Unit) -> list[tuple[str, str | bytes]]:
    """Returns (name, text) of each file, or of a named corpus or dataset, before any normalization.

    Empty files are omitted. Raises CorpusError for a text that is missing, damaged or not valid in its unit.
    """
    name, text, _ = _open_source(source, unit)
    if isinstance(text, TextFiles):
        return text.parts()
    return [(name, join_chunks([*text], unit))]


def _open_source(
    source: str | Path | Sequence[str | Path] | None, unit: Unit
) -> tuple[str, TextFiles | Iterable[str | bytes], CleanUp]:
    """Returns the name of a source, its text before any normalization, and its default normalization.

    The text of files is not read yet; that of a named corpus is, and is downloaded if necessary.
    """
    if source is None:
        try:
            return _open_source(TIME_MACHINE, unit)
        except CorpusUnavailableError as error:
            # stacklevel 3 is the caller of load_corpus.
            warnings.warn(
                CharloomWarning(*error.parts, "; using the reference text that is part of Python instead"),
                stacklevel=3,
            )
            name, text, _ = _open_source(PYTHON_REFERENCE, unit)
            # The normalization of the text that it replaces, so that the model has the same kind of vocabulary.
            return name, text, NAMED_CORPORA[TIME_MACHINE].clean_up
    sources = [source] if isinstance(source, PATH) else source
    # Only a str may name a corpus; a Path always names a file.
    sources = [one if isinstance(one, str) else Path(one) for one in sources]
    source = sources[0] if len(sources) == 1 else None
    if isinstance(source, str) and (source in NAMED_CORPORA or source == PYTHON_REFERENCE):
        data = read_named_corpus(source)
        default = NAMED_CORPORA[source].clean_up if source in NAMED_CORPORA else CleanUp()
        return source, [data] if unit == "byte" else decode_utf8([data], source), default
    if isinstance(source, str) and source.startswith(HUGGING_FACE):
        documents, column = open_hugging_face(source)
        return source, join_documents(documents, source, unit, column), CleanUp()
    if not sources:
        raise CorpusError("no text was passed: pass the name of a corpus, a file or a folder")
    # A single word is more likely a misspelled corpus than a missing file: the error lists the corpora.
    if isinstance(source, str) and re.fullmatch(r"[\w-]{2,40}", source) and not Path(source).exists():
        names = ", ".join([*NAMED_CORPORA, PYTHON_REFERENCE])
        raise CorpusError(f"{source}: no such file or corpus; the corpora are {names}")
    return ", ".join(Path(s).name or str(s) for s in sources), TextFiles(sources, unit), CleanUp()


def _encode(
    name: str,
    chunks: Iterable[str | bytes],
    settings: CorpusSettings,
    progress: Progress | None = None,
    files: TextFiles | None = None,
) -> Corpus:
    """Normalizes and encodes a text in one pass, and caches that of files.

    Args:
        name: Name of the corpus.
        chunks: Chunks of the text before normalization.
        settings: Unit, normalization and maximum length.
        progress: Callback of ``corpus_from``.
        files: Files that the chunks are read from; None if they come from elsewhere, and are then not cached.
    """
    encoder = Encoder(settings.unit, encoded_texts.new_file)
    try:
        normalized = _make_normalization(settings).each(resize_chunks(chunks, settings.unit))
        for chunk in take_first(normalized, settings.max_chars):
            # Around the encoder only: an OSError from reading the source does not concern the cache.
            with _explain_cache_errors(name):
                encoder.encode(chunk)
            if progress is not None:
                progress(encoder.num_ids, None)
        with _explain_cache_errors(name):
            encoded = encoder.finish()
        if encoder.file is None:
            return _make_corpus(name, encoded, encoder.array(), settings)
        # A file that changed during the pass has the old version's key and, possibly, the new one's text.
        if files is not None and not files.has_changed and (path := encoded_texts.cache_path(files, settings)):
            encoded_texts.store(encoder.file, encoded, files.name, path)
        return _make_corpus(name, encoded, encoded.in_file(encoder.file), settings)
    finally:
        # The corpus holds its own file descriptor, so the file may be closed here.
        if encoder.file is not None:
            encoded_texts.discard(encoder.file)


def _make_corpus(name: str, encoded: EncodedText, stored: Integers | FileNumbers, settings: CorpusSettings) -> Corpus:
    vocabulary = encoded.vocabulary(_make_normalization(settings))
    return Corpus(name, encoded.ids(stored, vocabulary), vocabulary, encoded.fingerprint)


def _make_normalization(settings: CorpusSettings) -> CleanUp:
    return CleanUp(bool(settings.lowercase), bool(settings.collapse_whitespace))


@contextmanager
def _explain_cache_errors(name: str) -> Iterator[None]:
    """Turns an OSError from writing to the cache folder into a CorpusError that names CHARLOOM_CACHE."""
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{cache_folder()}: cannot write the token ids of {name} to this folder ({error.strerror or error}); set "
            f"{CACHE_VARIABLE} to a writable folder with enough space"
        ) from None
