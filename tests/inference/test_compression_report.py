"""The size of a text with a model, and the length of text from which the model pays for itself."""

from pathlib import Path

import pytest

from charloom import CorpusError
from charloom.inference.compression_report import break_even, measure_known_share, report_compression, size_of_model
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE
from charloom_codec.model.priming import PRIMING_FILE


def test_break_even() -> None:
    """1000 bytes take 100 with the model and 300 without: 0.2 saved a byte, so 50,000 pay for 10,000."""
    assert break_even(1000, 100, 300, 10_000) == 50_000
    assert break_even(1000, 300, 300, 10_000) == float("inf")
    assert break_even(1000, 100, None, 10_000) == float("inf")


def test_share_of_a_text_known_from_the_priming() -> None:
    priming = bytes(range(256))
    assert measure_known_share(priming[10:138], priming) == 1
    assert measure_known_share(bytes(64) + priming[10:74], priming) == 0.5
    assert measure_known_share(b"short", priming) == 0


def test_the_size_of_a_model_is_that_of_integers_and_priming(tmp_path: Path) -> None:
    (tmp_path / INTEGER_MODEL_FILE).write_bytes(bytes(70))
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    assert size_of_model(tmp_path) == 70
    (tmp_path / PRIMING_FILE).write_bytes(bytes(5))
    assert size_of_model(tmp_path) == 75


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the text is empty: pass a text to measure"):
        report_compression(b"", tmp_path)
