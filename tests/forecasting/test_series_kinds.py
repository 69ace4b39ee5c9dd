"""Forecasts of series of many kinds: finite, ordered, of the series' kind of numbers, in any unit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from charloom import forecasting
from charloom.forecasting import ForecastSettings, backtest, fit
from examples import examples
from torch_settings import SETTINGS

_QUICK = ForecastSettings(horizon=5, members=3, epochs=2, hidden_size=4, context=8, num_paths=40)
Values = NDArray[np.float64]


def _walk(random: np.random.Generator, length: int) -> Values:
    return random.normal(size=length).cumsum()


_KINDS: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "noise": lambda random, length: random.normal(size=length),
    "walk": _walk,
    "trend": lambda random, length: 0.3 * np.arange(length) + random.normal(size=length),
    "season": lambda random, length: np.tile(random.normal(size=4), length)[:length] + random.normal(0, 0.1, length),
    "shift": lambda random, length: np.where(np.arange(length) < length // 2, 1.0, 9.0) + random.normal(0, 0.1, length),
    "step": lambda _, length: np.where(np.arange(length) < length // 2, 9.99, 12.49),
    "spike": lambda _, length: np.where(np.arange(length) == length * 3 // 4, 5.5e4, 0.0),
    "last": lambda _, length: np.where(np.arange(length) == length - 1, 1.0, 0.0),
    "stairs": lambda random, length: ((random.random(length) < 0.1) * random.normal(size=length)).cumsum(),
    "counts": lambda random, length: random.poisson(2, length).astype(np.float64),
    "rare": lambda random, length: random.poisson(0.2, length).astype(np.float64),
    "heavy": lambda random, length: random.standard_t(2, length),
    "growth": lambda random, length: np.exp(0.1 * np.arange(length) + random.normal(0, 0.1, length)),
    "explosive": lambda _, length: np.asarray(1.5 ** np.arange(length) * (-1) ** np.arange(length)),
    "smooth": lambda random, length: _walk(random, length).cumsum(),
    "line": lambda _, length: np.arange(float(length)),
    "losses": lambda random, length: -random.lognormal(size=length),
    "same": lambda _, length: np.full(length, 9.99),
    "alternating": lambda _, length: np.arange(float(length)) % 2,
}
_MODELS = ("auto", "naive", "drift", "mean")


def _check(values: Values, found: forecasting.Forecast) -> None:
    assert np.isfinite(found.mean).all()
    before = (found.mean, found.mean)
    for level in (0.1, 0.5, 0.8, 0.95, 0.999):
        low, high = found.interval(level)
        assert np.isfinite([low, high]).all()
        assert (low <= before[0]).all(), "intervals are within those of higher levels, and contain the forecast"
        assert (high >= before[1]).all()
        before = (low, high)
    low, high = before
    if values.min() >= 0:
        assert low.min() >= 0
    if values.max() <= 0:
        assert high.max() <= 0
    if (values == np.rint(values)).all():
        for numbers in (found.mean, low, high):
            assert (numbers == np.rint(numbers)).all()


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("length", [4, 7, 12, 23, 40])
def test_forecasts_are_of_the_kind_of_the_series(kind: str, length: int) -> None:
    values = _KINDS[kind](np.random.default_rng(length), length)
    forecaster = fit(values, _QUICK)
    _check(values, forecaster.forecast())
    assert forecaster.method != "auto"
    assert length >= 24 or forecaster.method != "network"
    paths = forecaster.sample_paths(40)
    assert np.isfinite(paths).all()
    if values.min() >= 0:
        assert paths.min() >= 0


@given(
    st.sampled_from(sorted(_KINDS)),
    st.integers(4, 60),
    st.integers(0, 1000),
    st.integers(1, 30),
    st.sampled_from(_MODELS[1:]),
)
@settings(max_examples=examples(20))
def test_baselines(kind: str, length: int, seed: int, horizon: int, model: str) -> None:
    values = _KINDS[kind](np.random.default_rng(seed), length)
    found = fit(values, replace(_QUICK, method=model, horizon=horizon)).forecast()  # type: ignore[arg-type]
    _check(values, found)
    low, high = found.interval(0.9)
    if fit(values, replace(_QUICK, method=model)).scale.sign == 0:  # type: ignore[arg-type]
        assert (np.diff(high - low) >= -1e-9 * np.abs(high).max() - 1).all() or found.mean.max() > 1e12


@pytest.mark.parametrize("kind", ["walk", "shift", "heavy", "smooth", "stairs"])
def test_intervals_grow_without_jumps(kind: str) -> None:
    for seed in range(3):
        values = _KINDS[kind](np.random.default_rng(seed), 60)
        low, high = fit(values, replace(_QUICK, horizon=12)).forecast().interval(0.95)
        growth = (high - low)[1:] / (high - low)[:-1]
        assert growth.min() > 1 - 1e-9
        assert growth.max() < 3.1, "a sum of a random walk grows by sqrt(5) at once"


@pytest.mark.parametrize("kind", ["walk", "noise", "shift", "heavy"])
@pytest.mark.parametrize("length", [12, 40])
@pytest.mark.parametrize("factor", [1e-300, -1e-180, -7.0, 1e8, 1e297])
def test_the_unit_does_not_matter(kind: str, length: int, factor: float) -> None:
    """Nor does the sign, for baselines: a network distinguishes up and down."""
    values = _KINDS[kind](np.random.default_rng(3), length)
    quick = replace(_QUICK, domain="real", method="ar" if factor < 0 and length > 23 else "auto")
    plain, scaled = (fit(v, quick).forecast() for v in (values, values * factor))
    low, high = plain.interval()
    expected = (low, high) if factor > 0 else (high, low)
    for a, b in zip((plain.mean, *expected), (scaled.mean, *scaled.interval()), strict=True):
        assert b / factor == pytest.approx(a, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("level", "tolerance"), [(1e3, 1e-5), (-1e5, 1e-5), (1e8, 1e-3)])
@pytest.mark.parametrize("length", [12, 40])
def test_the_level_does_not_matter(level: float, tolerance: float, length: int) -> None:
    values = 0.1 * _KINDS["noise"](np.random.default_rng(3), length) - 1
    plain, moved = (fit(v, replace(_QUICK, transform="none")).forecast() for v in (values, values + level))
    assert moved.mean - level == pytest.approx(plain.mean, abs=tolerance)
    assert moved.interval()[1] - moved.interval()[0] == pytest.approx(
        replace(plain, _scale=replace(plain._scale, sign=0)).interval()[1]
        - replace(plain, _scale=replace(plain._scale, sign=0)).interval()[0],
        abs=tolerance,
    )


@pytest.mark.parametrize(
    "values", [np.arange(40) * 5e-324, np.linspace(1, 2, 40) * 1e-310, np.linspace(-1, 1, 40) * 1e300]
)
def test_the_limits_of_floats(values: Values) -> None:
    _check(values, fit(values, _QUICK).forecast())
    report = backtest(values, _QUICK)
    assert all(np.isfinite(scores.mase).all() for scores in report.scores.values())


def test_constant_series() -> None:
    for value in (0.0, 9.99, -7.0, 1e-300):
        forecaster = fit(np.full(50, value), _QUICK)
        found = forecaster.forecast()
        assert forecaster.method == "naive"
        assert (found.mean == value).all()
        assert (found.interval(0.95)[0] == value).all()
        assert (found.interval(0.95)[1] == value).all()
    rounded = np.full(50, 0.3)
    rounded[::2] = 0.1 + 0.2
    assert fit(rounded, _QUICK).forecast().mean == pytest.approx(np.full(5, 0.3), rel=1e-12)


def test_domain_real_allows_any_number() -> None:
    counts = _KINDS["rare"](np.random.default_rng(0), 60)
    found = fit(counts, replace(_QUICK, domain="real", method="mean")).forecast()
    assert found.mean == pytest.approx(np.full(5, counts.mean()))
    assert found.interval(0.95)[0].min() < 0


def test_intervals_of_short_series_have_their_coverage() -> None:
    """Random walks and noise of 6 to 20 points, on the mean over many."""
    held: dict[float, list[float]] = {0.8: [], 0.95: []}
    for seed in range(150):
        random = np.random.default_rng(seed)
        length = int(random.integers(6, 21))
        values = _KINDS["walk" if seed % 2 else "noise"](random, length + 3)
        found = fit(values[:length], replace(_QUICK, horizon=3)).forecast()
        for level, shares in held.items():
            low, high = found.interval(level)
            shares.append(float(np.mean((low <= values[length:]) & (values[length:] <= high))))
    for level, shares in held.items():
        assert level - 0.07 < np.mean(shares) < level + 0.12


@pytest.mark.parametrize("model", ["seasonal-naive", "seasonal-mean", "naive", "drift", "mean", "ar"])
def test_each_model_by_its_name(model: str, tmp_path: object) -> None:
    values = np.tile([1.5, 4.0, 2.0, 8.0], 12) + np.random.default_rng(0).normal(0, 0.1, 48)
    forecaster = fit(values, replace(_QUICK, method=model))  # type: ignore[arg-type]
    assert forecaster.method == model
    forecaster.save(f"{tmp_path}/model")
    loaded = forecasting.Forecaster.load(f"{tmp_path}/model").forecast()
    assert (loaded.mean == forecaster.forecast().mean).all()
    assert (loaded.interval()[0] == forecaster.forecast().interval()[0]).all()
    expected = {
        "seasonal-naive": values[-4:],
        "seasonal-mean": (values[-4:] + values[-8:-4] + values[-12:-8]) / 3,
        "naive": np.full(4, values[-1]),
        "mean": np.full(4, values.mean()),
        "drift": values[-1] + np.arange(1, 5) * (values[-1] - values[0]) / 47,
    }
    if model in expected:
        assert forecaster.forecast().mean[:4] == pytest.approx(expected[model])


@pytest.mark.parametrize(
    "setting",
    [
        "default dtype float64",
        "default dtype float16",
        "default dtype bfloat16",
        "default device meta",
        "no_grad",
        "inference_mode",
        "autocast",
    ],
)
def test_settings_of_the_caller_have_no_effect(setting: str, tmp_path: Path) -> None:
    values = _KINDS["season"](np.random.default_rng(0), 60)
    network = replace(_QUICK, method="network")
    expected = fit(values, network).forecast()
    with SETTINGS[setting]():
        forecaster = fit(values, network)
        forecaster.save(tmp_path / "model")
        loaded = forecasting.Forecaster.load(tmp_path / "model")
        for found in (forecaster.forecast(), loaded.forecast()):
            assert (found.mean == expected.mean).all()
            assert (found.interval()[0] == expected.interval()[0]).all()
        assert np.isfinite(backtest(values, network).scores["network"].rmse).all()
