"""The text in a model folder that primes compression."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import ModelFolderError
from charloom_codec.model.priming import MAX_PRIMING, PRIMING_FILE, Priming


def test_equal_primings_are_equal_files() -> None:
    assert len({Priming(b"fox", 1).to_bytes() for _ in range(20)}) == 1


@settings(max_examples=30)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_round_trip_through_a_file(trained_on: bytes, held_out: bytes) -> None:
    priming = Priming.from_texts(trained_on, held_out)
    assert (priming.text, priming.bytes_without_network) == (trained_on + held_out, len(trained_on))
    again = Priming.from_bytes(priming.to_bytes())
    assert again == priming
    assert again.compute_fingerprint() == priming.compute_fingerprint()


def test_the_end_of_a_long_text_is_kept_and_validation_text_first() -> None:
    trained_on, held_out = bytes(MAX_PRIMING), b"u" * 1000
    priming = Priming.from_texts(b"first" + trained_on, held_out)
    assert len(priming.text) == MAX_PRIMING
    assert priming.text[priming.bytes_without_network :] == held_out
    assert Priming.from_texts(trained_on, b"u" * (MAX_PRIMING + 1)).bytes_without_network == 0


def test_fingerprints_of_different_primings_differ() -> None:
    primings = [Priming(), Priming(b"a"), Priming(b"a", 1), Priming(b"b", 1)]
    assert len({priming.compute_fingerprint() for priming in primings}) == len(primings)


def test_a_folder_without_priming_has_an_empty_one(tmp_path: Path) -> None:
    assert Priming.load(tmp_path) == Priming()
    (tmp_path / PRIMING_FILE).write_bytes(Priming(b"text", 2).to_bytes())
    assert Priming.load(tmp_path) == Priming(b"text", 2)


@pytest.mark.parametrize(
    ("text", "number", "message"),
    [
        (b"fox", 5, "bytes_without_network is 5, more than the 3 bytes of the priming text"),
        (b"fox", -1, "bytes_without_network is -1: it must not be negative"),
        (bytes(MAX_PRIMING + 1), 0, "the priming text is 1048577 bytes long: at most 1048576"),
    ],
)
def test_invalid_lengths_are_errors(text: bytes, number: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Priming(text, number)


def test_damage(tmp_path: Path) -> None:
    """A truncation or a flipped bit: an error in one line or the same priming, never a crash."""
    whole = Priming(b"some text, some text" * 20, 100)
    data = whole.to_bytes()
    file = tmp_path / PRIMING_FILE
    for changed in [data[:at] for at in range(len(data))] + [
        data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :] for at in range(len(data))
    ]:
        file.write_bytes(changed)
        try:
            Priming.load(tmp_path)
        except ModelFolderError as error:
            message = str(error)
        else:
            message = "not a priming"
            assert Priming.load(tmp_path) == whole  # no checksum covers the names in the header
        assert "not a priming" in message
        assert "\n" not in message


def test_hostile_lengths(tmp_path: Path) -> None:
    """A small file that would decompress to gigabytes."""
    import lzma

    packed = np.frombuffer(lzma.compress(bytes(1 << 28), preset=0), np.uint8)
    arrays: dict[str, Any] = {"header": np.array([1, 0], np.int32), "text": packed}
    (tmp_path / PRIMING_FILE).write_bytes(safetensors.numpy.save(arrays))
    with pytest.raises(ModelFolderError, match="truncated or too long"):
        Priming.load(tmp_path)
