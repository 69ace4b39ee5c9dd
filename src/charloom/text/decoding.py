"""Decoding of UTF-8 in chunks, and detection of other kinds of file by their first bytes."""

import codecs
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from charloom.errors import Argument, CorpusError

BYTE_UNIT_HINT = (Argument("unit", "byte"), " accepts any file")
_BYTE_MODEL_HINT = ("the model reads characters; one trained with ", *BYTE_UNIT_HINT)
_BYTE_ORDER_MARK = "\ufeff"
HEAD_BYTES = 1 << 13
"""Number of bytes at the start of a file that are inspected to detect its kind, similar to git and grep."""
# UTF-32 comes first: its little-endian mark starts with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_SAVE_AS_TEXT = "save it as plain text (UTF-8) and pass that file"
_ZIP = b"PK\x03\x04"
_KINDS = (
    (b"%PDF-", f"a PDF document; {_SAVE_AS_TEXT}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"a Microsoft Office document (such as .doc); {_SAVE_AS_TEXT}"),
    (_ZIP, "a zip archive; unpack it first"),
    (b"\x1f\x8b", "compressed with gzip, though its name does not end in .gz; decompress it first"),
    (b"\xfd7zXZ\0", "compressed with xz, though its name does not end in .xz; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, though its name does not end in .zst; decompress it first"),
    (b"BZh", "compressed with bzip2; decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
)
_WITHIN_ZIP = (
    (b"word/", "a Word document (.docx)"),
    (b"opendocument.text", "an OpenDocument text (.odt)"),
    (b"xl/", "an Excel workbook (.xlsx)"),
    (b"epub+zip", "an e-book (.epub)"),
)
_CONTROL = bytes({*range(32)} - {*b"\a\b\t\n\v\f\r\x1b"})
"""Control characters that no text contains in any encoding that extends ASCII, as defined by file(1)."""


def decode_utf8(chunks: Iterable[bytes], name: str, *, any_bytes: bool = False) -> Iterator[str]:
    """Yields the text of a file in chunks, without a leading byte order mark.

    With ``any_bytes``, bytes that are not UTF-8 become lone surrogates, as with Python's ``surrogateescape``, and a
    byte order mark is kept. Files of a recognized kind, such as gzip or UTF-16, are still refused.

    Raises CorpusError for a file that is not text. The message names the kind of file if ``detect_file_kind``
    recognizes it, or else the position of the first byte that is not UTF-8, or else that of the first NUL character.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape" if any_bytes else "strict")
    bytes_before, lines_before, chars_before = 0, 1, 0
    nul: int | None = None
    kind: str | None = None
    for data, final in itertools.chain(((chunk, False) for chunk in chunks), [(b"", True)]):
        if not bytes_before:
            kind = detect_file_kind(data[:HEAD_BYTES])
            if any_bytes and kind:
                raise CorpusError(f"{name}: {kind}", hint=BYTE_UNIT_HINT)
        # Bytes of an incomplete character at the end of the previous chunk, which an error's position counts from.
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError as error:
            # error.object consists of the pending bytes and the new chunk.
            whole, at = error.object, error.start
            line = lines_before + whole.count(b"\n", 0, at)
            wrong = f"not UTF-8 at byte {bytes_before - pending + at} (0x{whole[at]:02x}, line {line})"
            raise CorpusError(f"{name}: {kind or wrong}", hint=BYTE_UNIT_HINT) from None
        if nul is None and not any_bytes and (place := text.find("\0")) >= 0:
            nul = chars_before + place  # reading continues: an error of UTF-8 has priority
        if nul is None and (shown := text if chars_before or any_bytes else text.removeprefix(_BYTE_ORDER_MARK)):
            yield shown
        bytes_before += len(data)
        lines_before += data.count(b"\n")
        chars_before += len(text)
    if nul is not None:
        raise CorpusError(f"{name}: {kind or f'looks binary (NUL character at position {nul})'}", hint=BYTE_UNIT_HINT)


@contextmanager
def hint_at_byte_models() -> Iterator[None]:
    """Replaces the hint of a CorpusError to choose the unit, which is fixed once a model is trained."""
    try:
        yield
    except CorpusError as error:
        if error.hint == BYTE_UNIT_HINT:
            error.hint = _BYTE_MODEL_HINT
        raise


def detect_file_kind(head: bytes) -> str | None:
    """Returns the kind of file by its first bytes, and what to do about it; None for text or an unrecognized kind."""
    if encoding := _detect_encoding(head):
        name = encoding if encoding in ("UTF-16", "UTF-32") else "UTF-16 without a byte order mark"
        return f"text in {name}; convert it to UTF-8 first, for example with iconv -f {encoding} -t UTF-8"
    for start, kind in _KINDS:
        # A short signature in letters, such as BZh, may also be the start of a text.
        if head.startswith(start) and not (head.isascii() and len(start) < 5):
            within = _WITHIN_ZIP if start == _ZIP else ()
            return next((f"{document}; {_SAVE_AS_TEXT}" for name, document in within if name in head), kind)
    return None


def _detect_encoding(head: bytes) -> str | None:
    """Detects UTF-16 and UTF-32 by their byte order mark, or UTF-16 by its zero bytes; None for anything else."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    # UTF-16 of mostly ASCII text: zeros in every second byte, and none in the others.
    for order, zeros, others in (("LE", head[1::2], head[::2]), ("BE", head[::2], head[1::2])):
        if len(zeros) >= 4 and zeros.count(0) > 0.4 * len(zeros) and others.isascii() and not others.count(0):
            return f"UTF-16{order}"
    return None


def is_binary(head: bytes) -> bool:
    """Returns True if the first bytes of a file show that it is not text. Text in UTF-16 is not binary."""
    if _detect_encoding(head):
        return False
    if detect_file_kind(head):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may have been cut
    except UnicodeDecodeError:
        return any(byte in _CONTROL for byte in head)
    return b"\0" in head
