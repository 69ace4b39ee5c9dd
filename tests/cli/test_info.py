"""``charloom info``, once as a real process."""

from pathlib import Path

import pytest

import charloom
from charloom import forecasting
from charloom.settings.forecasting import Method
from native import Switch
from process import call, run


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


def test_settings_are_shown_as_in_recipes(char_model: Path, tmp_path: Path) -> None:
    model = charloom.LanguageModel.load(char_model)
    values = {"prefix": ["the fox", "a dog"], "keep_best": True, "patience": None, "epochs": 3.0}
    model.provenance = {**model.provenance, "training": values}
    model.save(tmp_path / "model")
    rows = [line.rstrip() for line in call(tmp_path, "info", "model").done().splitlines()]
    found = {row.split("  ")[0]: row.rpartition("  ")[2] for row in rows}
    assert found["training prefix"] == "the fox, a dog"
    assert found["training keep best"] == "true"
    assert found["training patience"] == "not set"
    assert found["training epochs"] == "3"


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
