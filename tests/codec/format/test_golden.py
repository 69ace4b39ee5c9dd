"""The format, byte by byte: golden files of this version that every later one must read."""

import io
import re
from pathlib import Path

import pytest

from charloom import Codec
from fake_engines import PlainEngine
from small_segments import compressed

_SENTENCE = b"the quick brown fox jumps over the lazy dog\n"
_ENGINE = PlainEngine(start=_SENTENCE * 8)
_PAGE = (Path(__file__).parents[3] / "docs" / "format.md").read_text(encoding="utf-8")

_GOLDEN = {
    "empty": (b"", "c7 63 6c 12 70 d0 41 d2 6c b8 85 b3 00 ce 87 b1 41"),
    "one byte": (b"x", "c7 63 6c 12 70 d0 41 d2 6c b8 85 b3 0f 78 b7 8d cc 3a 00"),
    "a sentence": (
        _SENTENCE,
        "c7 63 6c 12 70 d0 41 d2 6c b8 85 b3 e0 02 16 77 4f 06 65 8c f8 2c fc c6 35 ab e7 3b b6 94 74 c1 37 0c 3b 18 "
        "80 9b 5b fd 82 00",
    ),
}

_GOLDEN_RECORDS = (
    "c7 63 6c 16 70 d0 41 d2 6c b8 85 b3 32 03 02 03 f8 18 00 79 8a 85 59 6f f3 ec 67 ea f4 b3 fd 7a c8 d3 96 9e "
    "f5 1b 31 bc 50 ff 99 99 4c 28 53 3a d6 fd e6 03 d9 53 02 79 b8 f8 99 f4 10 f0 32 00 01 01 32 03 17 46 54 61 "
    "ff 5f 56 5c 0c 00 00 00"
)


@pytest.mark.parametrize("name", _GOLDEN)
def test_golden_bytes(name: str) -> None:
    data, golden = _GOLDEN[name]
    assert Codec(_ENGINE).compress(data).hex(" ") == golden
    assert Codec(_ENGINE).decompress(bytes.fromhex(golden)) == data


def test_golden_segments() -> None:
    """Four coded segments and the checksum of the whole at the end."""
    data = bytes(range(26)) + _SENTENCE * 3 + bytes(100)
    golden = (
        "c7 63 6c 12 70 d0 41 d2 6c b8 85 b3 80 04 2d ff ff 1f 14 b2 7b 95 60 75 35 0f c2 87 58 9c 69 39 25 cc 14 57 "
        "e5 6c a9 45 be cb 78 a0 46 99 07 eb 85 c4 5c ca e1 22 b1 b2 7f 68 27 e0 d5 9d c9 5d 80 04 1f 60 dd fd d4 ab "
        "39 6d b3 19 b3 4d 57 87 c3 b7 5d e5 e3 93 d3 18 5d 81 2b e2 aa 73 85 a7 78 90 f6 ce cf 03 80 04 1d 8b 3c 1e "
        "0e 84 a1 0a da d6 74 62 4b d9 cd bc 6e 0e 2c ff ff ff ff ff ff ff ff ff ff e0 24 1b 8f 79 80 04 0f ff ff ff "
        "ff ff ff ff ff ff ff ff ff ff ff fe e3 9a 05 10 17 00 00 27 6f 2c 9d 00 b3 17 a0 9c"
    )
    assert compressed(data, _ENGINE, 64).hex(" ") == golden
    assert Codec(_ENGINE).decompress(bytes.fromhex(golden)) == data


def test_golden_stored_segments() -> None:
    """Six segments of two bytes and one of one, stored, each with its checksum."""
    data = b"defghijklmnop"
    golden = (
        "c7 63 6c 12 70 d0 41 d2 6c b8 85 b3 17 64 65 6d 3f a7 4e 17 66 67 02 85 f3 ca 17 68 69 c8 4f 7d 5b 17 6a 6b "
        "a7 f5 29 df 17 6c 6d 12 dc 66 32 17 6e 6f 7d 66 32 b6 0f 70 0b e5 2b 2e 00 6c 7c fb e6"
    )
    assert compressed(data, _ENGINE, 2).hex(" ") == golden
    assert Codec(_ENGINE).decompress(bytes.fromhex(golden)) == data


def test_golden_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainEngine, "choose_num_lanes", lambda *_: 4)
    golden = (
        "c7 63 6c 12 70 d0 41 d2 6c b8 85 b3 c1 05 12 9e c0 1c 82 c1 96 5b 84 fa 0d 3e 58 11 d2 c2 42 ca 70 c2 d2 6f "
        "13 00"
    )
    assert Codec(_ENGINE).compress(_SENTENCE * 2).hex(" ") == golden
    assert Codec(_ENGINE).decompress(bytes.fromhex(golden)) == _SENTENCE * 2


def test_golden_records() -> None:
    """A coded record, an empty one, a stored one, without a line feed at the end."""
    target = io.BytesIO()
    Codec(_ENGINE).compress_lines(io.BytesIO(_SENTENCE + b"\n\x99"), target)
    assert target.getvalue().hex(" ") == _GOLDEN_RECORDS
    assert Codec(_ENGINE).decompress(bytes.fromhex(_GOLDEN_RECORDS)) == _SENTENCE + b"\n\x99"


def test_the_page_shows_these_bytes() -> None:
    examples = _PAGE.partition("## Example")[2]
    rows = re.findall(r"^\| `([0-9a-f ]+)` \|", examples, re.MULTILINE)
    assert " ".join(rows) == f"{_GOLDEN['a sentence'][1]} {_GOLDEN_RECORDS}"
