"""``charloom info``, ``recipes`` and the help, as real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

import charloom
from charloom import forecasting
from charloom.settings.forecasting import Method
from process import call, environment, run


def test_info(char_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = run(tmp_path, "info").done()
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert rows["charloom"].strip() == charloom.__version__
    assert {"python", "torch", "device", "threads", "recurrence"} < set(rows)
    monkeypatch.setenv("CHARLOOM_KERNELS", "reference")
    out = call(tmp_path, "info", char_model).done()
    assert "reference (the equations, step by step)" in out
    assert "lstm" in out
    assert "29 tokens, unit char" in out
    assert charloom.LanguageModel.load(char_model).provenance["corpus"]["sha256"] in out


@pytest.mark.parametrize("method", ["network", "ar"])
def test_a_forecaster(method: Method, tmp_path: Path) -> None:
    settings = forecasting.ForecastSettings(horizon=6, method=method, members=2, epochs=1, hidden_size=4, season=12)
    values = [10.0 + i % 12 + 0.1 * i for i in range(96)]
    forecasting.fit(values, settings).save(tmp_path / "sales")
    lines = call(tmp_path, "info", "sales").done().splitlines()
    rows = {line[:12].strip(): line[12:].strip() for line in lines if line}
    assert (rows["kind"], rows["season"], rows["horizon"]) == ("forecaster", "12 points", "6 steps")
    expected = ("gru, 4 units", "2") if method == "network" else ("none", "1")
    assert (rows["cell"], rows["members"]) == expected
    assert int(rows["lags"]) > 0
    assert "96 points" in rows["series"]


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
