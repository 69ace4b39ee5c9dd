"""Readers of iterables of texts: lists, generators and datasets of Hugging Face's ``datasets``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from charloom.errors import CorpusError, CorpusUnavailableError
from charloom.settings.corpus import Unit
from charloom.text.decoding import BYTE_UNIT_HINT
from charloom_codec.arguments import TEXT

HUGGING_FACE = "hf:"
"""Prefix of the name of a dataset of the hub."""
_DEFAULT_COLUMN = "text"


def join_documents(
    documents: object, name: str, unit: Unit, column: str | None = None, separator: str = "\n"
) -> Iterator[str | bytes]:
    """Yields the documents of ``corpus_from`` and the separators between them.

    Raises CorpusError if the documents are empty or not text.
    """
    # A numpy array or tensor without dimensions has __iter__, which raises TypeError only when it is called.
    whole = (documents,) if isinstance(documents, TEXT) else documents
    if not isinstance(whole, Iterable) or getattr(whole, "ndim", 1) == 0:
        raise CorpusError(f"{name}: {type(documents).__name__} is neither a str nor an iterable of str")
    between: Any = _in_units(separator, f"{name}, the separator", unit, column)
    last: str | bytes | None = None
    for number, document in enumerate(whole, 1):
        text = _in_units(document, f"{name}, document {number}", unit, column)
        # An empty document would only double the separator.
        if not text:
            continue
        if last is not None and not last.endswith(between):
            yield between
        yield text
        last = text
    if last is None:
        raise CorpusError(f"{name}: empty; there is nothing to read")


def _in_units(document: object, place: str, unit: Unit, column: str | None) -> str | bytes:
    text = _text_of_row(document, place, column) if isinstance(document, Mapping) else document
    if text is None:
        return b"" if unit == "byte" else ""  # a missing value of a dataset
    if not isinstance(text, TEXT):
        raise CorpusError(f"{place}: expected a str, not {type(text).__name__}")
    if isinstance(text, bytes):
        if unit == "char":
            raise CorpusError(f"{place}: expected a str, not bytes", hint=BYTE_UNIT_HINT)
        return text
    try:
        # Lone surrogates are bytes that Python could not decode: they are bytes again, but not characters.
        data = text.encode("utf-8", "surrogateescape" if unit == "byte" else "strict")
    except UnicodeEncodeError as error:
        raise CorpusError(f"{place}: not valid Unicode: {text[error.start]!a} (at position {error.start})") from None
    return data if unit == "byte" else text


def _text_of_row(row: Mapping[str, object], place: str, column: str | None) -> object:
    if column is None:
        texts = [key for key, value in row.items() if isinstance(value, TEXT)]
        column = _DEFAULT_COLUMN if _DEFAULT_COLUMN in row else texts[0] if len(texts) == 1 else None
    if column is None or column not in row:
        problem = "specify the column that contains the text" if column is None else f"there is no column {column!r}"
        raise CorpusError(f"{place}: {problem}; the columns are {', '.join(map(str, row))}")
    return row[column]


def open_hugging_face(source: str) -> tuple[Iterable[object], str | None]:
    """Returns the streamed rows of ``hf:NAME[@CONFIGURATION][:SPLIT[:COLUMN]]``, and the column or None.

    Raises CorpusError if the name is malformed or ``datasets`` is not installed. Iterating over the rows raises
    CorpusUnavailableError if the dataset does not exist, or the network is not or no longer available.
    """
    # The empty strings stand for a split and a column that are not named; any other item of ``more`` is one too many.
    name, split, column, *more = [*source.removeprefix(HUGGING_FACE).split(":"), "", ""]
    if not name or any(more[:-2]):
        raise CorpusError(f"{source}: a dataset is specified as hf:NAME, hf:NAME:SPLIT or hf:NAME:SPLIT:COLUMN")
    try:
        from datasets import load_dataset  # large, and an extra
    except ImportError:
        raise CorpusError(
            f"{source}: reading a dataset requires the datasets package; install it with pip install "
            "'charloom[datasets]'"
        ) from None
    path, _, configuration = name.partition("@")

    # A generator, so that the network is used only when the rows are read.
    def rows() -> Iterator[object]:
        try:
            yield from load_dataset(path, configuration or None, split=split or "train", streaming=True)
        except Exception as error:  # errors of datasets, requests and the file system have no common base
            reason = " ".join(str(error).split())[:200]
            raise CorpusUnavailableError(
                f"{source}: the dataset is not available ({type(error).__name__}: {reason})"
            ) from None

    return rows(), column or None
