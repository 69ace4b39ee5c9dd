"""Baselines against their definitions."""

from collections.abc import Callable

import numpy as np
import pytest

from charloom.errors import InputError, SeriesError, SettingsError, pluralize
from charloom.forecasting import AutoRegression, Baseline, Drift, Mean, Naive, SeasonalMean, SeasonalNaive, backtest


def test_ar_is_least_squares() -> None:
    values = np.random.default_rng(0).normal(size=60).cumsum()
    num_lags = 4
    rows = [[1.0, *(values[t - i] for i in range(1, num_lags + 1))] for t in range(num_lags, len(values))]
    solution = np.linalg.lstsq(np.array(rows), values[num_lags:], rcond=None)[0]
    model = AutoRegression(num_lags)
    model.fit(values)
    expected = [solution @ [1.0, *(values[t - i] for i in range(1, num_lags + 1))] for t in (40, 60)]
    assert model.forecast(values, np.array([40, 60]), 1)[:, 0] == pytest.approx(expected)


def test_naive_forecasts() -> None:
    values = np.arange(10.0)
    origins = np.array([6, 10])
    assert Naive().forecast(values, origins, 3).tolist() == [[5, 5, 5], [9, 9, 9]]
    assert SeasonalNaive(4).forecast(values, origins, 6).tolist() == [[2, 3, 4, 5, 2, 3], [6, 7, 8, 9, 6, 7]]
    with pytest.raises(SettingsError, match="num_lags is 5: the 10 points to fit to allow at most 4 lags"):
        AutoRegression(5).fit(values)


@pytest.mark.parametrize(
    "make", [Naive, Drift, Mean, lambda: SeasonalNaive(7), lambda: SeasonalMean(3, 4), AutoRegression]
)
def test_a_baseline_reads_only_past_values(make: Callable[[], Baseline]) -> None:
    """Origins with too few values before them, or beyond the end, are refused; the future is never read."""
    values = np.random.default_rng(0).normal(size=30)
    model = make()
    with pytest.raises((SeriesError, SettingsError), match=r"point|empty"):
        model.fit(values[: model.min_points - 1])
    model.fit(values[:20])
    for origin in range(31):
        known = np.where(np.arange(30) < origin, values, 1e9)
        if origin < model.linear.order:
            needed = pluralize(model.linear.order, "value")
            with pytest.raises(
                InputError,
                match=f"^a forecast needs {needed} before its origin, but origin {origin} has only {origin}$",
            ):
                model.forecast(known, np.array([30, origin]), 3)
        else:
            assert np.abs(model.forecast(known, np.array([origin]), 3)).max() < 100
    for origins in ([31], [-1], [40, 20], [29.5], ["20"], 20, None, [], [[20]], np.array([True])):
        with pytest.raises(InputError):
            model.forecast(values, origins, 3)  # type: ignore[arg-type]


def test_forecasts_equal_the_definitions() -> None:
    values = np.random.default_rng(1).normal(size=24)
    expected: list[tuple[Baseline, list[float]]] = [
        (Mean(), [float(values[:20].mean())] * 4),
        (Drift(), [float(values[-1] + step * (values[19] - values[0]) / 19) for step in range(1, 5)]),
        (SeasonalMean(3, 2), [float((values[18 + step % 3] + values[21 + step % 3]) / 2) for step in range(3)]),
    ]
    for model, wanted in expected:
        model.fit(values[:20])  # estimated on this part, forecast from what is known by then
        assert model.forecast(values, np.array([24]), len(wanted))[0] == pytest.approx(wanted), model.name


def test_an_unfitted_baseline_is_refused() -> None:
    with pytest.raises(InputError, match="mean is not fitted; call fit first"):
        Mean().forecast([1.0, 2.0], np.array([2]), 1)
    with pytest.raises(InputError, match="baseline is not fitted"):
        backtest(np.arange(40.0), horizon=2, baselines=[Baseline()])
    with pytest.raises(SettingsError, match="horizon is 0"):
        Naive().forecast([1.0, 2.0], np.array([2]), 0)
    with pytest.raises(SeriesError, match="drift needs 2 points to fit, but there is only 1"):
        Drift().fit([1.0])
