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
