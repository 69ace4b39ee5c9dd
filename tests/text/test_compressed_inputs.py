"""Compressed texts: read completely, in bounded memory, or refused by name."""

import gzip
import io
import lzma
import random
import re
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import CorpusError, load_corpus
from charloom.text.compressed_inputs import decompress
from charloom.text.sources import read_sources

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_KINDS: dict[str, Callable[[bytes], bytes]] = {
    "a.gz": lambda data: gzip.compress(data, 1),
    "a.xz": lambda data: lzma.compress(data, preset=0, check=lzma.CHECK_CRC32),
    "A.ZST": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
_EACH = pytest.mark.parametrize("name", list(_KINDS))
_TEXT = b"a text, \xc3\xa9 and some more of it\n" * 40


def _read(data: bytes, name: str, step: int) -> bytes:
    return b"".join(decompress((data[i : i + step] for i in range(0, len(data), step)), name))


@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    name=st.sampled_from(list(_KINDS)),
    step=st.integers(1, 400),
    padding=st.integers(0, 3),
)
def test_concatenated_streams_are_one_text(parts: list[bytes], name: str, step: int, padding: int) -> None:
    """For any chunks of the file, and with zeros between streams."""
    data = (b"\0" * 4 * padding).join(_KINDS[name](part) for part in parts) + b"\0" * 4 * padding
    assert _read(data, name, step) == b"".join(parts)


def test_files_of_other_names_are_read_unchanged() -> None:
    data = gzip.compress(_TEXT)
    for name in ("a.txt", "gz", "a.gz.txt", "-"):
        assert _read(data, name, 7) == data


@_EACH
def test_a_truncated_file_is_refused(name: str) -> None:
    data = _KINDS[name](_TEXT)
    for length in range(len(data)):
        with pytest.raises(CorpusError, match=f"{name}: truncated: the file ends in the middle of its compressed data"):
            _read(data[:length], name, 50)


@_EACH
def test_damage_is_refused_or_changes_nothing(name: str) -> None:
    """A flipped bit, anywhere: in a name or a time of a header it has no effect."""
    data = _KINDS[name](_TEXT)
    results = []
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        try:
            results.append(_read(bytes(damaged), name, 1000))
        except CorpusError as error:
            results.append(str(error).encode())
    assert all(result == _TEXT or re.match(rb"%s: [^\n]+$" % name.encode(), result) for result in results)
    assert results.count(_TEXT) < len(data)


@_EACH
@pytest.mark.parametrize("data", [b"plain text, for any name of the file\n", b"\x1f\x8b\xff\xff", bytes(200)])
def test_data_that_is_not_compressed_is_refused_with_advice(name: str, data: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(
        CorpusError, match=f"{name}: (damaged, or not in the format that its suffix indicates|truncated)"
    ):
        load_corpus(file)


@_EACH
def test_data_after_the_end_is_refused(name: str) -> None:
    with pytest.raises(CorpusError, match="damaged"):
        _read(_KINDS[name](_TEXT) + b"and more of what is no stream", name, 1000)


@_EACH
def test_a_small_file_of_a_large_text_takes_little_memory(name: str) -> None:
    """300 MB of one letter, never in memory at once."""

    def packed() -> Iterator[bytes]:
        part = _KINDS[name](bytes([97]) * (100 << 20))
        tracemalloc.start()
        for _ in range(3):
            yield part

    total = sum(len(chunk) for chunk in decompress(packed(), name))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 300 << 20
    assert most < 8 << 20


def test_an_xz_file_that_asks_for_gigabytes_of_memory_is_refused() -> None:
    data = bytearray(lzma.compress(b"a", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    # The size of the dictionary is in the block's header, a byte of 0 to 40, before the header's checksum.
    place = data.index(b"\x21\x01", 12) + 2
    data[place] = 36  # 1 GiB
    length = (data[12] + 1) * 4
    data[12 + length - 4 : 12 + length] = zlib.crc32(bytes(data[12 : 12 + length - 4])).to_bytes(4, "little")
    with pytest.raises(
        CorpusError,
        match=r"256 MiB of memory: decompress it yourself and pass - as the file: xz -dc a\.xz \| charloom \.\.\. -$",
    ):
        _read(bytes(data), "a.xz", 1000)


@pytest.mark.parametrize(("bits", "taken"), [(28, True), (29, False)])
def test_a_zst_file_with_a_long_window(bits: int, taken: bool) -> None:
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: bits,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    data = io.BytesIO()
    with zstd.ZstdFile(data, "wb", options=options) as file:
        file.write(_TEXT)
    if taken:
        assert _read(data.getvalue(), "a.zst", 1000) == _TEXT
    else:
        with pytest.raises(CorpusError, match=r"pass - as the file: zstd -dc --long=31 a\.zst \| charloom \.\.\. -"):
            _read(data.getvalue(), "a.zst", 1000)


def test_compressed_files_as_sources(tmp_path: Path) -> None:
    """Among others, of both units; their contents are joined as those of plain files."""
    for name, pack in _KINDS.items():
        (tmp_path / f"x{name.lower()}").write_bytes(pack(f"é {name}".encode()))
    (tmp_path / "y.txt").write_bytes("plain é".encode())
    assert read_sources([tmp_path], "char") == "é a.gz\né a.xz\né A.ZST\nplain é"
    assert load_corpus(tmp_path).text == "é a.gz\né a.xz\né A.ZST\nplain é"
    assert load_corpus(tmp_path, unit="byte").text == "é a.gzé a.xzé A.ZSTplain é".encode()


def test_invalid_utf8_inside_is_named_by_its_place(tmp_path: Path) -> None:
    data = bytearray(random.Random(0).randbytes(100_000).hex().encode())
    data[150_000] = 0xFF
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(CorpusError, match=r"a\.gz: not UTF-8 at byte 150000 \(0xff, line 1\)"):
        load_corpus(tmp_path / "a.gz")
