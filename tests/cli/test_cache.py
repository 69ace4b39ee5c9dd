"""``charloom cache``."""

from pathlib import Path

import pytest

from charloom import load_corpus
from process import call


def test_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "mine"))
    assert call(tmp_path, "cache").done() == f"0 cached texts, 0.0 MB in {tmp_path}/mine\n"
    assert call(tmp_path, "cache", "--clear").done() == f"Removed 0.0 MB from {tmp_path}/mine\n"
    assert not (tmp_path / "mine").exists()


@pytest.mark.usefixtures("kept_texts")
def test_a_cached_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "mine"))
    (tmp_path / "fox.txt").write_text("a fox and a dog\n" * 5000)
    corpus = load_corpus(tmp_path / "fox.txt")
    heading, row, total = call(tmp_path, "cache").done().splitlines()
    assert heading.split() == ["MB", "tokens", "unit", "last", "used", "text"]
    assert row.split()[1:3] == [f"{len(corpus.ids):,}", "char"]
    assert row.endswith("fox.txt")
    assert total.startswith("1 cached text, ")
    assert "Removed" in call(tmp_path, "cache", "--clear").done()
    assert call(tmp_path, "cache").done().startswith("0 cached texts")
