"""Files that are not UTF-8 text are named by their kind; binary files of a folder are skipped."""

from pathlib import Path

import pytest

from charloom import CharloomWarning, CorpusError
from charloom.text.decoding import detect_file_kind, is_binary
from charloom.text.sources import read_sources


def _file(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


_ZIP = b"PK\x03\x04\x14\0\0\0\0\0"

_KINDS = {
    "utf-16.txt": ("caf\u00e9\n".encode("utf-16"), "text in UTF-16; convert it to UTF-8"),
    "utf-16-be.txt": ("a fox and a dog".encode("utf-16-be"), "text in UTF-16 without a byte order mark"),
    "utf-32.txt": ("a fox".encode("utf-32"), "text in UTF-32"),
    "letter.docx": (_ZIP + b"word/document.xml\xff", r"a Word document \(.docx\); save it as plain text"),
    "letter.odt": (_ZIP + b"mimetypeapplication/vnd.oasis.opendocument.text\xff", "an OpenDocument text"),
    "letter.doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "a Microsoft Office document"),
    "letter.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document; save it as plain text"),
    "log.bz2": (b"BZh91AY&SY\x95", "compressed with bzip2; decompress it first"),
    "picture.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture"),
}


@pytest.mark.parametrize("name", _KINDS)
def test_a_file_that_is_not_text_is_named_by_its_kind(name: str, tmp_path: Path) -> None:
    data, kind = _KINDS[name]
    file = _file(tmp_path / name, data)
    with pytest.raises(CorpusError, match=rf"{name}: {kind}.*unit='byte' accepts any file"):
        read_sources([file], "char")
    assert read_sources([file], "byte") == data


def test_binary_files_of_a_folder_are_skipped_and_named(tmp_path: Path) -> None:
    _file(tmp_path / "a.txt", "a\n")
    for name, (data, _) in _KINDS.items():
        if not name.startswith("utf"):
            _file(tmp_path / name, data)
    _file(tmp_path / "program", b"ELF\0\1")
    _file(tmp_path / "packed.dat", bytes(range(256)).replace(b"\0", b""))
    with pytest.warns(CharloomWarning, match=r"skipped 8 files that are not text: \S+letter.doc, .* \.\.\."):
        assert read_sources([tmp_path], "char") == "a\n"
    assert len(read_sources([tmp_path], "byte")) > 300
    (tmp_path / "a.txt").unlink()
    with pytest.warns(CharloomWarning), pytest.raises(CorpusError, match="this folder contains no text files"):
        read_sources([tmp_path], "char")


@pytest.mark.parametrize("data", ["caf\u00e9".encode("latin-1"), "caf\u00e9".encode("utf-16")])
def test_text_in_another_encoding_in_a_folder_is_refused(data: bytes, tmp_path: Path) -> None:
    """Otherwise it would silently be missing."""
    _file(tmp_path / "a.txt", "a\n")
    _file(tmp_path / "b.txt", data)
    with pytest.raises(CorpusError, match=r"b\.txt: "):
        read_sources([tmp_path], "char")


def test_kinds_by_the_first_bytes() -> None:
    for data, kind in _KINDS.values():
        assert detect_file_kind(data) is not None
        assert is_binary(data) == (not kind.startswith("text in"))
    for text in (
        b"",
        b"plain",
        "n\u00e9".encode(),
        "n\u00e9".encode()[:2],
        b"caf\xe9",
        b"GIF8 is how those files start",
    ):
        assert detect_file_kind(text) is None
        assert not is_binary(text)
