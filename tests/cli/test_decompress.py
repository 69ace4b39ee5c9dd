"""``charloom decompress``: damage, other models, records; with a fake engine in place of a model's."""

import random
from pathlib import Path

import pytest

from charloom_codec.format.container import HEADER_BYTES
from fake_engines import ZlibEngine
from process import call

_TEXT = b"it was the best of times, it was the worst of times\n" * 40


@pytest.fixture
def home(text_and_models: Path) -> Path:
    return text_and_models


def _names(home: Path) -> list[str]:
    return sorted(file.name for file in home.iterdir() if file.is_file())


def test_the_wrong_model_and_no_model(home: Path) -> None:
    call(home, "compress", "a.txt", "-m", "model").done()
    message = call(home, "decompress", "a.txt.loom", "-m", "other", "-o", "x").error()
    for model in (b"model", b"other"):
        assert ZlibEngine("mixing", start=model).fingerprint[:8].hex() in message
    message = call(home, "decompress", "a.txt.loom", "-o", "x").error()
    assert message.endswith("; pass the folder of that model with --model")
    message = call(home, "decompress", "a.txt.loom", "-m", "none", "-o", "x").error()
    assert message == "none: no such model folder; pass an existing one with --model"
    (home / "b").write_bytes(b"x")
    call(home, "compress", "b", "-m", "model").done()
    call(home, "decompress", "b.loom", "-f").done()
    assert _names(home) == ["a.txt", "a.txt.loom", "b", "b.loom"]


def test_damage_leaves_no_file_and_sends_valid_blocks_to_standard_output(home: Path) -> None:
    text = random.Random(1).randbytes(1 << 17).hex().encode()
    (home / "big").write_bytes(text)
    call(home, "compress", "big", "-m", "model").done()
    blob = bytearray((home / "big.loom").read_bytes())
    blob[-100] ^= 1
    (home / "big.loom").write_bytes(blob)
    (home / "big").write_bytes(b"mine")
    message = call(home, "decompress", "big.loom", "-m", "model", "-f").error()
    assert message == f"big.loom: damaged: bytes 196,608 to {len(text) - 1:,} of the original are lost"
    assert (home / "big").read_bytes() == b"mine"
    assert _names(home) == ["a.txt", "big", "big.loom"]
    result = call(home, "decompress", "big.loom", "-m", "model", "-o", "-")
    assert result.status == 1
    assert result.raw_out == text[:196_608]


def test_records(home: Path) -> None:
    lines = [f"{number} times {number % 7}".encode() for number in range(3000)]
    (home / "log").write_bytes(b"\n".join(lines))
    call(home, "compress", "log", "-m", "model", "--by-line").done()
    call(home, "decompress", "log.loom", "-m", "model", "-o", "back").done()
    assert (home / "back").read_bytes() == b"\n".join(lines)
    for words, expected in (("1", lines[:1]), ("5-9", lines[4:9]), ("2999-", lines[2998:]), ("3000", lines[-1:])):
        out = call(home, "decompress", "log.loom", "-m", "model", "--record", words).raw_out
        assert out == b"\n".join(expected) + (b"" if expected[-1] == lines[-1] else b"\n")
    call(home, "decompress", "log.loom", "-m", "model", "--record", "7", "-o", "seven").done()
    assert (home / "seven").read_bytes() == lines[6] + b"\n"
    for words in ("0", "9-5", "x", "-5", "1-2-3", ""):
        assert "--record" in call(home, "decompress", "log.loom", "-m", "model", f"--record={words}").error(2)
    message = call(home, "decompress", "log.loom", "-m", "model", "--record", "5-9999").error(2)
    assert message == "log.loom: --record is '5-9999': the file has only 3,000 lines"
    call(home, "compress", "a.txt", "-m", "model").done()
    message = call(home, "decompress", "a.txt.loom", "-m", "model", "--record", "1").error()
    assert message == "a.txt.loom: the file was compressed as one stream, not by line; omit --record"
    assert "not a file compressed" in call(home, "decompress", "a.txt", "-m", "model", "--record", "1").error()
    message = call(home, "decompress", "-", "-m", "model", "--record", "1").error(2)
    assert message == "--record cannot read standard input: pass a file"
    for arguments in (
        ["a.txt.loom", "log.loom"],
        ["a.txt.loom", "-"],
        ["log.loom", "--remove"],
        ["log.loom", "--list"],
    ):
        message = call(home, "decompress", *arguments, "-m", "model", "--record", "1").error(2)
        assert message.startswith("--record reads one file and keeps it: pass a single file, and omit --remove")


def test_a_damaged_record_is_numbered_as_lines_are(home: Path) -> None:
    lines = [random.Random(number).randbytes(20).hex().encode() for number in range(100)]
    (home / "log").write_bytes(b"\n".join(lines))
    call(home, "compress", "log", "-m", "model", "--by-line").done()
    blob = bytearray((home / "log.loom").read_bytes())
    record = ZlibEngine("mixing", start=b"model").start_record_session().encode(lines[41])
    blob[blob.index(record) + 5] ^= 1
    (home / "log.loom").write_bytes(blob)
    message = call(home, "decompress", "log.loom", "-m", "model", "-f").error()
    assert message.endswith("damaged: record 42 (counted from 1) is lost; --record reads undamaged records")
    assert call(home, "decompress", "log.loom", "-m", "model", "--record", "43").raw_out == lines[42] + b"\n"
    for position, value, expected in (
        (0, 1, "the lines from 1 on are lost"),
        (
            2,  # the number of records, after the two bytes of the size
            0,
            "damaged: the group of records that starts with record 1 (counted from 1) is lost; --record may still read "
            "records of other groups",
        ),
    ):
        broken = bytearray(blob)
        broken[HEADER_BYTES + position] = value
        (home / "broken.loom").write_bytes(broken)
        assert call(home, "decompress", "broken.loom", "-m", "model").error().endswith(expected)
    assert "record 42 " in call(home, "decompress", "log.loom", "-m", "model", "--record", "42").error()
