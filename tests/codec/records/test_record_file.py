"""A file of records: random access, little overhead, damage named."""

import io
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import (
    Codec,
    CompressedFileError,
    DamagedFileError,
    DamagedRecordError,
    InputError,
    NotCompressedError,
    RecordCodec,
    RecordFile,
    TrailingDataError,
    TruncatedFileError,
    WrongModelError,
)
from charloom_codec.format.container import HEADER_BYTES, encode_varint
from charloom_codec.records import lines
from charloom_codec.records.groups import GROUP_RECORDS, INDEX_SIZE_BYTES, Index
from damage import damaged
from examples import examples
from fake_engines import PlainEngine, ZlibEngine


def _records(count: int, seed: int = 1) -> list[bytes]:
    source = random.Random(seed)
    words = [source.randbytes(source.randrange(1, 5)).hex() for _ in range(50)]
    return [" ".join(source.choices(words, k=source.randrange(9))).encode() for _ in range(count)]


def _text_blob(text: bytes, threads: int = 1) -> bytes:
    target = io.BytesIO()
    Codec(ZlibEngine(), threads=threads).compress_lines(io.BytesIO(text), target)
    return target.getvalue()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, GROUP_RECORDS - 1, GROUP_RECORDS, 2 * GROUP_RECORDS + 77])
def test_any_record(count: int, tmp_path: Path) -> None:
    records = _records(count)
    RecordFile.write(tmp_path / "r.cl", records, ZlibEngine())
    with RecordFile(tmp_path / "r.cl", ZlibEngine()) as file:
        assert len(file) == count
        assert list(file) == records
        for number in random.Random(2).choices(range(count), k=min(count, 50)):
            assert file[number] == records[number]
            assert file[number - count] == records[number]
        assert file[3:900:7] == records[3:900:7]
        with pytest.raises(IndexError):
            file[count]
    if count:
        with pytest.raises(ValueError, match="closed file"):
            file[0]


def test_reading_one_record_reads_only_its_group(tmp_path: Path) -> None:
    """The other groups may hold any bytes."""
    records = _records(5 * GROUP_RECORDS)
    path = tmp_path / "r.cl"
    RecordFile.write(path, records, ZlibEngine())
    blob = path.read_bytes()
    with RecordFile(path, ZlibEngine()) as file:
        starts, _ = file._index.compute_starts()
    middle = slice(12 + starts[2], 12 + starts[3])
    path.write_bytes(
        blob[:12] + bytes(starts[2]) + blob[middle] + bytes(starts[5] - starts[3]) + blob[12 + starts[5] :]
    )
    with RecordFile(path, ZlibEngine()) as file:
        assert file[2 * GROUP_RECORDS + 5] == records[2 * GROUP_RECORDS + 5]
        with pytest.raises(DamagedRecordError, match=r"records 0, 1, 2, .* \.\.\. \(counted from 0\) are lost"):
            file[5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")
def test_forked_processes_read_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of one size, so that no checksum distinguishes them."""
    monkeypatch.setattr(lines, "GROUP_RECORDS", 2)
    records = [random.Random(number).randbytes(100) for number in range(2000)]
    RecordFile.write(tmp_path / "r.cl", records, PlainEngine())
    with RecordFile(tmp_path / "r.cl", PlainEngine()) as file:
        child = os.fork()
        numbers = random.Random(child).choices(range(2000), k=3000)
        right = False
        try:
            right = all(file[number] == records[number] for number in numbers)
        finally:
            if not child:
                os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert right


def test_less_than_a_byte_each(tmp_path: Path) -> None:
    """Everything in the file that is not the records' own bytes, at a log's lengths: 22 bytes, give or take 7."""
    source = random.Random(1)
    records = [source.randbytes(max(2, int(source.gauss(11, 3.5)))).hex().encode() for _ in range(1000)]
    path = tmp_path / "r.cl"
    RecordFile.write(path, records, PlainEngine())
    own = sum(map(len, RecordCodec(PlainEngine()).encode_batch(records)))
    assert path.stat().st_size - own < 1000


def test_a_damaged_record_is_named_and_the_others_are_readable(tmp_path: Path) -> None:
    records = _records(2000)
    records[700] = b"the only one of its kind"
    path = tmp_path / "r.cl"
    RecordFile.write(path, records, ZlibEngine())
    blob = bytearray(path.read_bytes())
    wanted = RecordCodec(ZlibEngine()).encode(records[700])
    blob[blob.index(wanted) + 1] ^= 4
    path.write_bytes(blob)
    with RecordFile(path, ZlibEngine()) as file:
        for number in range(2000):
            if number != 700:
                assert file[number] == records[number]
        with pytest.raises(DamagedRecordError, match=r"record 700 \(counted from 0\) is lost; undamaged") as caught:
            file[700]
        assert caught.value.records == (700,)
    target = io.BytesIO()
    with pytest.raises(DamagedRecordError, match="record 700 "):
        Codec(ZlibEngine()).decompress_stream(io.BytesIO(bytes(blob)), target)
    assert target.getvalue() == b"".join(record + b"\n" for record in records[:700])


@pytest.mark.parametrize("damage", ["end", "middle", "cut"])
def test_a_damaged_index(damage: str, tmp_path: Path) -> None:
    """It is reported; the groups can be found without it."""
    records = _records(3000)
    path = tmp_path / "r.cl"
    RecordFile.write(path, records, ZlibEngine())
    blob = bytearray(path.read_bytes())
    if damage == "cut":
        del blob[-7:]
    else:
        blob[-2 if damage == "end" else -12] ^= 1
    path.write_bytes(blob)
    with pytest.raises(DamagedFileError, match="rebuild_index"):
        RecordFile(path, ZlibEngine())
    with RecordFile(path, ZlibEngine(), rebuild_index=True) as file:
        assert list(file) == records
    with pytest.raises((DamagedFileError, TruncatedFileError)):
        Codec(ZlibEngine()).decompress(bytes(blob))


def test_errors_of_invalid_arguments(tmp_path: Path) -> None:
    path = tmp_path / "r.cl"
    RecordFile.write(path, [b"a" * 30], ZlibEngine())
    blob = path.read_bytes()
    with pytest.raises(InputError, match="the file already exists; use force=True to overwrite it"):
        RecordFile.write(path, [], ZlibEngine())
    with pytest.raises(WrongModelError, match="a different model"):
        RecordFile(path, ZlibEngine(start=b"x"))
    with pytest.raises(TrailingDataError):
        Codec(ZlibEngine()).decompress(blob + b"x")
    path.write_bytes(blob + blob)
    with pytest.raises(DamagedFileError, match="the index of the records"):
        RecordFile(path, ZlibEngine())
    path.write_bytes(blob)
    for length in range(12, len(blob)):
        with pytest.raises(TruncatedFileError):
            Codec(ZlibEngine()).decompress(blob[:length])
    path.write_bytes(Codec(ZlibEngine()).compress(b"abc"))
    with pytest.raises(NotCompressedError, match="compressed as one stream, not by record"):
        RecordFile(path, ZlibEngine())
    with pytest.raises(InputError, match="more than the limit of"):
        RecordFile.write(path, [bytes((1 << 24) + 1)], ZlibEngine(), force=True)
    assert list(tmp_path.iterdir()) == [path]


_BLOB = _text_blob(b"\n".join(_records(200)))
_TEXT = b"\n".join(_records(200))


@settings(max_examples=examples(60))
@given(seed=st.integers(0, 2**32))
def test_damage_is_always_detected(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Reading through gives the text or an error; reading any record gives it or an error."""
    blob = damaged(_BLOB, random.Random(seed))
    try:
        assert Codec(ZlibEngine()).decompress(blob) == _TEXT
    except CompressedFileError as error:
        assert "\n" not in str(error)  # noqa: PT017
    path = tmp_path_factory.mktemp("damaged") / "r.cl"
    path.write_bytes(blob)
    try:
        file = RecordFile(path, ZlibEngine())
    except CompressedFileError:
        return
    with file:
        for number, record in enumerate(_records(200)):
            try:
                assert file[number] == record
            except DamagedRecordError:
                continue


def test_invalid_numbers_of_groups(tmp_path: Path) -> None:
    """With valid checksums: a size that no group has, and more records than the limit."""
    with pytest.raises(DamagedFileError):
        Index.from_bytes(Index([(1, 1)]).to_bytes()[:-INDEX_SIZE_BYTES])
    file = tmp_path / "records"
    RecordFile.write(file, [b"a", b"b"], ZlibEngine())
    data = file.read_bytes()
    start = HEADER_BYTES
    hostile = data[:start] + encode_varint(20) + encode_varint(1 << 34) + bytes(40)
    file.write_bytes(hostile)
    with RecordFile(file, ZlibEngine(), rebuild_index=True) as records:
        assert len(records) == 0


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        CompressedFileError,
        match=r"none: cannot be read \(No such file or directory\): pass the path of a file of records",
    ):
        RecordFile(tmp_path / "none", ZlibEngine())
