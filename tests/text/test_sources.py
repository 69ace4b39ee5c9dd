import io
import re
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import CharloomWarning, CorpusError
from charloom.settings.corpus import Unit
from charloom.text.chunks import join_chunks
from charloom.text.decoding import decode_utf8
from charloom.text.sources import TextFiles, read_any_bytes, read_sources

_UNITS = pytest.mark.parametrize("unit", ["char", "byte"])


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Standard input with the bytes of the test's parameter, in a terminal of another encoding."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(request.param), encoding="latin-1"))


def _decoded(data: bytes, name: str) -> str:
    return "".join(decode_utf8([data], name))


def _file(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_is_read_unchanged(tmp_path: Path) -> None:
    file = _file(tmp_path / "a.txt", "né\r\n\tX")
    assert read_sources([file], "char") == "né\r\n\tX"
    assert read_sources([str(file)], "byte") == "né\r\n\tX".encode()


def test_any_bytes_are_bytes_only_if_they_are_not_utf8(tmp_path: Path) -> None:
    """Files of a folder are separated as those of a text are."""
    file = _file(tmp_path / "a.txt", "né\0\U0010ffff")
    assert read_any_bytes([file], "char") == "né\0\U0010ffff"
    assert read_any_bytes([file], "byte") == "né\0\U0010ffff".encode()
    _file(tmp_path / "b.txt", b"\xe9\xed\xb2\x80")
    assert read_any_bytes([file, tmp_path / "b.txt"], "char") == "né\0\U0010ffff\n".encode() + b"\xe9\xed\xb2\x80"
    with pytest.raises(CorpusError, match="empty"):
        read_any_bytes([_file(tmp_path / "c.txt", "")], "char")


@_UNITS
def test_each_file_is_a_part(unit: Unit, tmp_path: Path) -> None:
    """One named twice too; put together they are the text, and empty ones are none."""
    one, empty, two = (_file(tmp_path / name, text) for name, text in (("1", "a\nb"), ("2", ""), ("3", "c\n")))
    sources = [one, one, empty, two]
    parts = TextFiles(sources, unit).parts()
    assert [name for name, _ in parts] == [str(one), str(one), str(two)]
    assert join_chunks([text for _, text in parts], unit) == read_sources(sources, unit)
    end = "\n" if unit == "char" else ""
    texts = [text if isinstance(text, str) else text.decode() for _, text in parts]
    assert texts == ["a\nb" + end, "a\nb" + end, "c\n"]


@_UNITS
def test_a_missing_file_is_named(unit: Unit, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=re.escape(str(tmp_path / "none.txt")) + ": no such file"):
        read_sources([tmp_path / "none.txt"], unit)


@_UNITS
def test_one_missing_among_several_is_named(unit: Unit, tmp_path: Path) -> None:
    there = _file(tmp_path / "a.txt", "a")
    with pytest.raises(CorpusError, match=r"none\.txt: no such file"):
        read_sources([there, tmp_path / "none.txt"], unit)


@_UNITS
def test_an_invalid_path_is_refused(unit: Unit) -> None:
    with pytest.raises(CorpusError, match="null"):
        read_sources(["a\0b"], unit)
    with pytest.raises(CorpusError, match="too long"):
        read_sources(["x" * 5000], unit)


@_UNITS
def test_an_empty_source_is_refused(unit: Unit, tmp_path: Path) -> None:
    empty = _file(tmp_path / "empty.txt", "")
    with pytest.raises(CorpusError, match=r"empty\.txt.*empty; there is nothing"):
        read_sources([empty, empty], unit)


def test_a_byte_order_mark_alone_is_empty(tmp_path: Path) -> None:
    file = _file(tmp_path / "mark.txt", "\ufeff")
    with pytest.raises(CorpusError, match=r"mark\.txt: empty"):
        read_sources([file], "char")
    assert read_sources([file], "byte") == b"\xef\xbb\xbf"


@_UNITS
def test_an_unreadable_file_is_named_with_the_reason(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path / "secret.txt", "a")

    def refuse(path: Path, _: str) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CorpusError, match=r"secret\.txt: permission denied"):
        read_sources([file], unit)


def test_two_files_never_share_a_line(tmp_path: Path) -> None:
    contents = {"a": "no end", "b": "an end\n", "c": "", "d": "dos\r\n", "e": "last"}
    files = [_file(tmp_path / name, content) for name, content in contents.items()]
    assert read_sources(files, "char") == "no end\nan end\ndos\r\nlast"
    assert read_sources(files, "byte") == b"no endan end\ndos\r\nlast"


def test_files_are_read_in_the_order_given(tmp_path: Path) -> None:
    b, a = _file(tmp_path / "b", "b\n"), _file(tmp_path / "a", "a\n")
    assert read_sources([b, a, b], "char") == "b\na\nb\n"


def test_a_folder_is_every_file_below_in_order_of_name(tmp_path: Path) -> None:
    for name in ["z.txt", "b/2.txt", "a.md", "b/1.txt", "b/c/d.py", "10.txt", "9.txt"]:
        _file(tmp_path / name, name + "\n")
    expected = ["10.txt", "9.txt", "a.md", "b/1.txt", "b/2.txt", "b/c/d.py", "z.txt"]
    assert str(read_sources([tmp_path], "char")).splitlines() == expected
    assert read_sources([tmp_path / "b", tmp_path / "a.md"], "byte") == b"b/1.txt\nb/2.txt\nb/c/d.py\na.md\n"


def test_hidden_files_of_a_folder_are_skipped(tmp_path: Path) -> None:
    for name in [".hidden", ".git/config", "sub/.cache/deep/x", "sub/.DS_Store"]:
        _file(tmp_path / ".data" / name, b"\xff")
    _file(tmp_path / ".data/sub/seen.txt", "seen")
    # The name of the given folder itself may start with a dot.
    assert read_sources([tmp_path / ".data"], "char") == "seen"
    assert read_sources([tmp_path / ".data/.hidden"], "byte") == b"\xff"


@_UNITS
def test_a_folder_without_files_is_refused(unit: Unit, tmp_path: Path) -> None:
    _file(tmp_path / "folder/sub/.hidden", "a")
    with pytest.raises(CorpusError, match="folder: this folder contains no "):
        read_sources([tmp_path / "folder"], unit)


def test_a_dangling_link_in_a_folder_is_skipped(tmp_path: Path) -> None:
    _file(tmp_path / "a.txt", "a")
    (tmp_path / "b.txt").symlink_to(tmp_path / "gone.txt")
    assert read_sources([tmp_path], "char") == "a"
    with pytest.raises(CorpusError, match=r"b\.txt: no such file"):
        read_sources([tmp_path / "b.txt"], "char")


@_UNITS
@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="needs /dev/zero")
def test_a_device_is_refused(unit: Unit) -> None:
    with pytest.raises(
        CorpusError, match=r"/dev/zero: this is a device, not a file; pass a file, or - for standard input"
    ):
        read_sources(["/dev/zero"], unit)


def test_the_byte_order_mark_of_every_file_is_removed(tmp_path: Path) -> None:
    files = [_file(tmp_path / name, "\ufeff" + name) for name in "ab"]
    assert read_sources(files, "char") == "a\nb"
    # It is a mark only at the start.
    assert _decoded("\ufeffa\ufeff".encode(), "x") == "a\ufeff"


def test_invalid_utf8_is_named_by_file_byte_and_line(tmp_path: Path) -> None:
    good, bad = _file(tmp_path / "good.txt", "fine\n"), _file(tmp_path / "bad.txt", b"one\ntwo\nth\xe9ree\n\xff")
    with pytest.raises(CorpusError, match=r"bad\.txt: not UTF-8 at byte 10 \(0xe9, line 3\); unit='byte' accepts"):
        read_sources([good, bad], "char")
    assert read_sources([good, bad], "byte") == b"fine\none\ntwo\nth\xe9ree\n\xff"


@given(before=st.text(max_size=20), bad=st.sampled_from([b"\xff", b"\x80", b"\xc3(", b"\xed\xa0\x80", b"\xe2\x82"]))
def test_the_first_invalid_byte_is_found(before: str, bad: bytes) -> None:
    start = before.encode()
    with pytest.raises(CorpusError) as caught:
        _decoded(start + bad, "name")
    line = before.count("\n") + 1
    assert str(caught.value).startswith(f"name: not UTF-8 at byte {len(start)} (0x{bad[0]:02x}, line {line});")


@given(text=st.text())
def test_valid_utf8_is_read(text: str) -> None:
    clean = text.replace("\0", "").lstrip("\ufeff")
    assert _decoded(clean.encode(), "name") == clean


def test_a_nul_character_is_refused_with_advice(tmp_path: Path) -> None:
    file = _file(tmp_path / "program", b"ELF\0\1")
    with pytest.raises(
        CorpusError, match=r"program: looks binary \(NUL character at position 3\); unit='byte' accepts any file"
    ):
        read_sources([file], "char")
    assert read_sources([file], "byte") == b"ELF\0\1"


@given(data=st.binary(min_size=1))
def test_bytes_accept_anything(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = _file(tmp_path_factory.getbasetemp() / "anything", data)
    assert read_sources([file], "byte") == data


@pytest.mark.usefixtures("standard_input")
@pytest.mark.parametrize("standard_input", ["né\r\n".encode()], indirect=True)
def test_standard_input_is_utf8_in_any_terminal() -> None:
    assert read_sources(["-"], "char") == "né\r\n"


@pytest.mark.usefixtures("standard_input")
@pytest.mark.parametrize("standard_input", [b"\xff\0"], indirect=True)
def test_standard_input_in_bytes_beside_a_file(tmp_path: Path) -> None:
    assert read_sources([_file(tmp_path / "a", "a"), "-"], "byte") == b"a\xff\0"


@pytest.mark.usefixtures("standard_input")
@pytest.mark.parametrize("standard_input", [b""], indirect=True)
@_UNITS
def test_empty_standard_input_is_refused_by_name(unit: Unit) -> None:
    with pytest.raises(CorpusError, match="standard input: empty"):
        read_sources(["-"], unit)


@pytest.mark.usefixtures("standard_input")
@pytest.mark.parametrize("standard_input", [b"ok\n\xff"], indirect=True)
def test_invalid_standard_input_is_named() -> None:
    with pytest.raises(CorpusError, match=r"not UTF-8 at byte 3 \(0xff, line 2\)"):
        read_sources(["-"], "char")


@_UNITS
def test_models_in_a_folder_are_skipped(unit: Unit, char_model: Path, tmp_path: Path) -> None:
    _file(tmp_path / "a.txt", "a\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model").symlink_to(char_model)
    shutil.copytree(char_model, tmp_path / "deep" / "mine")
    with pytest.warns(CharloomWarning, match=r"skipped a charloom model or run: \S+mine$"):
        assert len(read_sources([tmp_path], unit)) == 2


def test_a_file_that_is_found_twice_is_read_once(tmp_path: Path) -> None:
    a, b = _file(tmp_path / "in" / "a", "a\n"), _file(tmp_path / "in" / "b", "b\n")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for sources in ([tmp_path / "in", a], [a, b, tmp_path / "in"], [tmp_path / "in", tmp_path / "link"]):
        with pytest.warns(CharloomWarning, match="the same file appears twice; it is read once"):
            assert read_sources(sources, "char") == "a\nb\n"


def test_an_inaccessible_file_in_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(tmp_path / "secret", "a")

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(CorpusError, match=re.escape(f"{file}: permission denied")):
        read_sources([tmp_path], "char")
