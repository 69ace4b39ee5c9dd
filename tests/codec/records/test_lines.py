"""Lines as records: the text comes back with its line ends, for any number of threads."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import Codec
from charloom_codec.errors import DamagedRecordError, RecordTooLongError
from charloom_codec.format.container import encode_varint
from charloom_codec.records import lines
from charloom_codec.records.groups import encode_group
from charloom_codec.records.lines import Lines
from fake_engines import ZlibEngine


def _text_blob(text: bytes, threads: int = 1) -> bytes:
    target = io.BytesIO()
    Codec(ZlibEngine(), threads=threads).compress_lines(io.BytesIO(text), target)
    return target.getvalue()


@settings(max_examples=100)
@given(text=st.binary(max_size=300).map(lambda data: data.replace(b"a", b"\n")), threads=st.integers(1, 2))
def test_round_trip_of_any_line_ends(text: bytes, threads: int) -> None:
    blob = _text_blob(text, threads)
    assert Codec(ZlibEngine()).decompress(blob) == text
    assert blob == _text_blob(text)


def test_a_line_that_is_too_long_for_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_RECORD", 10)
    for text in (b"0123456789\n0123456789", b"\n" * 30):
        assert Codec(ZlibEngine()).decompress(_text_blob(text)) == text
    for text in (b"a\n01234567890", b"a\n01234567890\nb"):
        with pytest.raises(RecordTooLongError, match=r"line 2 is longer than 10 bytes, .*; use compress_stream"):
            _text_blob(text)


def _damage_group(position: int, value: int) -> DamagedRecordError:
    """Returns the error for two groups, of 1024 records and of 1, with a changed byte of the second one."""
    blob = bytearray(_text_blob(b"a line\n" * 1024 + b"the last one\n"))
    body = encode_group([ZlibEngine().start_record_session().encode(b"the last one")])
    blob[blob.index(encode_varint(len(body)) + body) + position] = value
    with pytest.raises(DamagedRecordError) as caught:
        Codec(ZlibEngine()).decompress(bytes(blob))
    return caught.value


def test_the_extent_of_a_loss() -> None:
    """A lost size of a group hides all later ones; a lost count of records only those of the group."""
    rest, group = _damage_group(0, 1), _damage_group(1, 0)
    assert (rest.records, rest.lost) == ((1024,), "rest")
    assert str(rest).endswith("; the records from number 1,024 on (counted from 0) are lost")
    assert (group.records, group.lost) == ((1024,), "group")
    assert str(group) == "damaged: the group of records that starts with record 1,024 (counted from 0) is lost"


def test_threads_and_streams() -> None:
    text = b"\n".join(b"record %d" % number for number in range(5000))
    blob = _text_blob(text, 3)
    assert blob == _text_blob(text)
    for threads in (1, 3):
        counts: list[int] = []
        target = io.BytesIO()
        Codec(ZlibEngine(), threads=threads).decompress_stream(io.BytesIO(blob), target, counts.append)
        assert target.getvalue() == text
        assert sum(counts) == len(text) + 1


@pytest.mark.parametrize(
    ("text", "records", "open_end"),
    [(b"", [], False), (b"a\n\nb\n", [b"a", b"", b"b"], False), (b"a\r\nb", [b"a\r", b"b"], True)],
)
def test_lines(text: bytes, records: list[bytes], open_end: bool) -> None:
    found = Lines(io.BytesIO(text))
    assert list(found) == records
    assert found.open_end == open_end
