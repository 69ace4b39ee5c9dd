"""Recognizes files that are not UTF-8 text by their first bytes."""

import codecs
from dataclasses import dataclass

HEAD_BYTES = 1 << 13
"""How much of a file ``kind_of`` and ``is_binary`` look at, as git and grep do."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file that is not UTF-8 text.

    Attributes:
        name: Its name in a message.
        advice: What to do to get its text; empty if it has none.
        is_text: Whether it is text in another encoding.
    """

    name: str
    advice: str
    is_text: bool = False

    def __str__(self) -> str:
        return f"{self.name}; {self.advice}" if self.advice else self.name


_AS_TEXT = "save it as plain text (UTF-8) and give that file"
_DECOMPRESS = "decompress it first"
_CONVERT = "convert it to UTF-8 first, as with iconv -f {} -t UTF-8"
_ZIP = b"PK\x03\x04"
_PICTURE = FileKind("a picture", "")
_KINDS = (
    (b"\xff\xfe\0\0", FileKind("text in UTF-32", _CONVERT.format("UTF-32"), is_text=True)),
    (b"\0\0\xfe\xff", FileKind("text in UTF-32", _CONVERT.format("UTF-32"), is_text=True)),
    (b"\xff\xfe", FileKind("text in UTF-16", _CONVERT.format("UTF-16"), is_text=True)),
    (b"\xfe\xff", FileKind("text in UTF-16", _CONVERT.format("UTF-16"), is_text=True)),
    (b"%PDF-", FileKind("a PDF document", _AS_TEXT)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind("a Microsoft Office document (such as .doc)", _AS_TEXT)),
    (_ZIP, FileKind("a zip archive", "unpack it first")),
    (b"\x1f\x8b", FileKind("compressed with gzip, though its name does not end in .gz", _DECOMPRESS)),
    (b"\xfd7zXZ\0", FileKind("compressed with xz, though its name does not end in .xz", _DECOMPRESS)),
    (b"\x28\xb5\x2f\xfd", FileKind("compressed with zstd, though its name does not end in .zst", _DECOMPRESS)),
    (b"BZh", FileKind("compressed with bzip2", _DECOMPRESS)),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7-Zip archive", "unpack it first")),
    (b"\x89PNG\r\n", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF8", _PICTURE),
)
_WITHIN_ZIP = (
    (b"word/", FileKind("a Word document (.docx)", _AS_TEXT)),
    (b"opendocument.text", FileKind("an OpenDocument text (.odt)", _AS_TEXT)),
    (b"xl/", FileKind("an Excel workbook (.xlsx)", _AS_TEXT)),
    (b"epub+zip", FileKind("an e-book (.epub)", _AS_TEXT)),
)
_CONTROL = bytes({*range(32)} - {*b"\a\b\t\n\v\f\r\x1b"})
"""What no text holds in any encoding that extends ASCII; the rule of file(1)."""


def kind_of(head: bytes) -> FileKind | None:
    """The kind of file by its first bytes; None for text, and for what is not known.

    UTF-16 and UTF-32 are recognized by their byte order mark, or by their zeros.
    """
    for beginning, kind in _KINDS:
        if head.startswith(beginning) and not (head.isascii() and len(beginning) < 5):
            within = _WITHIN_ZIP if beginning == _ZIP else ()
            return next((document for name, document in within if name in head), kind)
    for order, zeros, others in (("LE", head[1::2], head[::2]), ("BE", head[::2], head[1::2])):
        if len(zeros) >= 4 and zeros.count(0) > 0.4 * len(zeros) and others.isascii() and not others.count(0):
            return FileKind("text in UTF-16 without a byte order mark", _CONVERT.format("UTF-16" + order), is_text=True)
    return None


def is_binary(head: bytes) -> bool:
    """Whether a file is not text in any encoding, by its first bytes. Text in UTF-16 is not binary."""
    kind = kind_of(head)
    if kind is not None:
        return not kind.is_text
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may have been cut
    except UnicodeDecodeError:
        return any(byte in _CONTROL for byte in head)
    return b"\0" in head
