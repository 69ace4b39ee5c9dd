"""``charloom info``, ``recipes`` and the help, as real processes."""

import subprocess
import sys
from pathlib import Path

import pytest
from native import Switch
from process import call, environment, run

import charloom


def test_info(char_model: Path, tmp_path: Path, compute_by: Switch) -> None:
    out = run(tmp_path, "info").done()
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert rows["charloom"].strip() == charloom.__version__
    assert {"python", "torch", "device", "threads", "recurrence"} < set(rows)
    compute_by("reference")
    out = call(tmp_path, "info", char_model).done()
    assert "reference (the equations, step by step)" in out
    assert "lstm" in out
    assert "29 tokens, unit char" in out
    assert charloom.LanguageModel.load(char_model).provenance["corpus"]["sha256"] in out


def test_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "mine"))
    assert call(tmp_path, "cache").done() == f"0 texts, 0.0 MB in {tmp_path}/mine\n"
    assert call(tmp_path, "cache", "--clear").done() == f"0.0 MB removed from {tmp_path}/mine\n"
    assert not (tmp_path / "mine").exists()


def test_recipes(tmp_path: Path) -> None:
    listed = call(tmp_path, "recipes").done()
    assert [line.split()[0] for line in listed.splitlines()] == ["own-text", "section"]
    assert "learning_rate = 1.0" in call(tmp_path, "recipes", "section").done()
    assert "no recipe 'x'" in call(tmp_path, "recipes", "x").error(2)


def test_help_needs_no_torch(tmp_path: Path) -> None:
    """Nor do the help of a command, the version, and mistakes in the call."""
    for arguments in ([], ["--help"], ["train", "--help"], ["--version"], ["train", "--nonsense"], ["bogus"]):
        command = [sys.executable, "-X", "importtime", "-m", "charloom", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=False)
        assert done.returncode == (2 if arguments in (["train", "--nonsense"], ["bogus"]) else 0)
        assert "charloom.cli.app" in done.stderr
        assert " torch\n" not in done.stderr
    assert run(tmp_path, "--version").done().strip() == charloom.__version__
    assert "Available commands: train" in run(tmp_path, "bogus").error(2)
    for command_name in ("train", "generate", "evaluate", "info", "recipes"):
        assert f"Usage: charloom {command_name}" in call(tmp_path, command_name, "--help").done()
