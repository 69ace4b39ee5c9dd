"""The program of the codec's own distribution, as processes; it imports no PyTorch."""

import subprocess
import sys
from pathlib import Path

import pytest

import charloom_codec
from charloom_codec.cli import stopping
from process import environment


def _run(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-X", "importtime", "-m", "charloom_codec", *words]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env=environment(home), check=False)
    assert " torch\n" not in done.stderr
    assert " matplotlib\n" not in done.stderr
    return done


def test_a_file_is_compressed_and_decompressed(tmp_path: Path, char_model: Path) -> None:
    text = "the quick brown fox\n" * 20
    (tmp_path / "a.txt").write_text(text)
    assert _run(tmp_path, "compress", "a.txt", "-m", str(char_model), "--remove").returncode == 0
    assert not (tmp_path / "a.txt").exists()
    assert _run(tmp_path, "decompress", "a.txt.loom", "-m", str(char_model)).returncode == 0
    assert (tmp_path / "a.txt").read_text() == text


def test_help_and_wrong_calls(tmp_path: Path) -> None:
    assert "Usage: charloom-codec compress" in _run(tmp_path, "compress", "--help").stdout
    assert _run(tmp_path, "--version").stdout.strip() == charloom_codec.__version__
    wrong = _run(tmp_path, "train")
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("charloom-codec: error: unknown command 'train' (see charloom-codec --help)\n")


def test_the_entry_point_handles_signals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from charloom_codec import __main__ as entry

    calls: list[str] = []
    for name in ("stop_on_signals", "exit_at_once"):
        monkeypatch.setattr(stopping, name, lambda *_, name=name: calls.append(name))
    monkeypatch.setattr(sys, "argv", ["charloom-codec", "decompress", str(tmp_path / "missing.loom")])
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 1
    assert calls == ["stop_on_signals", "exit_at_once"]
