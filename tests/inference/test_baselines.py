"""Statistics and compressors without a model."""

import gzip
import lzma
import shutil

import pytest

from charloom.inference.baselines import measure_baselines, measure_compressors

_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 60


@pytest.mark.parametrize("text", ["aabé", b"aab\xff"])
def test_baselines(text: str | bytes) -> None:
    """Each by its definition, over the whole text."""
    data = text.encode() if isinstance(text, str) else text
    found = {baseline.name: baseline.total_bits for baseline in measure_baselines(text, 16)}
    assert found["uniform"] == 4 * 4
    assert found["unigram"] == pytest.approx(2 * 1 + 2 * 2)
    assert gzip.decompress(gzip.compress(data, 9, mtime=0)) == data
    assert found["gzip -9"] == 8 * len(gzip.compress(data, 9, mtime=0))
    assert found["xz -9e"] == 8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def test_other_compressors() -> None:
    """Available ones give a size between nothing and the whole; an installed command is used."""
    sizes = measure_compressors(_TEXT)
    for name in ("gzip -9", "bzip2 -9", "xz -9e"):
        size = sizes[name]
        assert size is not None
        assert 20 < size < len(_TEXT) / 4
    assert (sizes["zstd -19"] is None) == (shutil.which("zstd") is None)
    zpaq = sizes["zpaq -m5"]
    assert (zpaq is None) == (shutil.which("zpaq") is None)
    assert zpaq is None or 20 < zpaq < len(_TEXT) / 2  # its archives start with a kilobyte of their own
