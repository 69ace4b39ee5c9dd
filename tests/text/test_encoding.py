"""A text in chunks has the ids of the whole text, in memory or in a file, in 1, 2 or 4 bytes."""

import hashlib
import io
import itertools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from charloom import CleanUp, Vocabulary
from charloom.text import encoding
from charloom.text.encoding import EncodedText, Encoder
from charloom.text.stored_ids import StoredIds

_CHUNKS = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=8)
_BEYOND_A_BYTE = [chr(0x100 + number) for number in range(300)]
_BEYOND_TWO = "".join(chr(code) for code in range(0x10000, 0x10000 + 66_000))


def _encode(chunks: Sequence[str | bytes], unit: Any, in_memory: int, path: Path) -> tuple[EncodedText, StoredIds]:
    """Encodes through a file if there are more than ``in_memory`` bytes of ids."""
    encoding.MAX_IN_MEMORY = in_memory
    try:
        encoder = Encoder(unit, lambda: path.open("w+b"))
        for chunk in chunks:
            encoder.encode(chunk)
        encoded = encoder.finish()
    finally:
        encoding.MAX_IN_MEMORY = 32 << 20
    size = encoded.num_ids * encoded.bytes_per_id
    assert (encoder.file is not None) == (size > in_memory)
    if encoder.file is None:
        return encoded, encoded.ids(encoder.array(), encoded.vocabulary(CleanUp()))
    data = path.read_bytes()
    assert len(data) == size
    assert zlib.crc32(data) == encoded.crc32
    encoder.file.close()
    with path.open("rb") as file:
        return encoded, encoded.ids(encoded.in_file(file), encoded.vocabulary(CleanUp()))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoding") / "ids"


@given(chunks=_CHUNKS, in_memory=st.integers(0, 40))
@example(chunks=["ab", *_BEYOND_A_BYTE], in_memory=10)
@example(chunks=["ab", *_BEYOND_A_BYTE], in_memory=270)  # in a file just before, and just after, a byte is too small
@example(chunks=["ab", *_BEYOND_A_BYTE], in_memory=1000)
@example(chunks=["a", "".join(_BEYOND_A_BYTE), _BEYOND_TWO, "b"], in_memory=0)
@example(chunks=["a", "".join(_BEYOND_A_BYTE), _BEYOND_TWO, "b"], in_memory=1 << 20)
def test_chunks_equal_the_whole(chunks: list[str], in_memory: int, path: Path) -> None:
    text = "".join(chunks)
    encoded, ids = _encode(chunks, "char", in_memory, path)
    vocabulary = Vocabulary.of_text(text)
    assert encoded.vocabulary(CleanUp()) == vocabulary
    assert torch.equal(ids[:], vocabulary.encode(text))
    assert encoded.fingerprint == hashlib.sha256(text.encode()).hexdigest()
    assert encoded.num_ids == len(ids) == len(text)
    tokens = len(set(text)) + 1
    assert ids.bytes_per_id == encoded.bytes_per_id == (1 if tokens <= 256 else 2 if tokens <= 65_536 else 4)


@pytest.mark.parametrize("in_memory", [0, 2000])
def test_bytes_are_their_own_ids(in_memory: int, path: Path) -> None:
    data = bytes(range(256)) * 5
    encoded, ids = _encode([data[:3], data[3:700], data[700:]], "byte", in_memory, path)
    assert ids.tolist() == list(data)
    assert encoded.vocabulary(CleanUp()) == Vocabulary()
    assert (encoded.characters, encoded.counts, encoded.bytes_per_id) == ("", (), 1)
    assert encoded.fingerprint == hashlib.sha256(data).hexdigest()


@given(chunks=_CHUNKS, other=st.lists(st.integers(0, 99), max_size=9))
def test_the_file_depends_on_the_text_alone(chunks: list[str], other: list[int], path: Path) -> None:
    """Two processes that read it in different chunks write the same file."""
    text = "".join(chunks)
    borders = [0, *sorted(place % (len(text) + 1) for place in other), len(text)]
    first, _ = _encode(chunks, "char", 0, path)
    again, _ = _encode([text[a:b] for a, b in itertools.pairwise(borders)], "char", 0, path)
    assert first == again


def test_an_incomplete_character_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        Encoder("char", io.BytesIO).encode("a\ud800")


def test_in_the_file_numbers_are_little_endian(path: Path) -> None:
    encoded, _ = _encode(["".join(_BEYOND_A_BYTE)], "char", 0, path)
    assert np.frombuffer(path.read_bytes(), "<u2").tolist() == list(range(1, 301))
    assert encoded.characters == "".join(_BEYOND_A_BYTE)
