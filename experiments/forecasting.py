"""Exercise: forecasts of the chapter's sine with noise, of nonlinear series, and of a real series."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charloom import forecasting
from charloom.forecasting import AutoRegression, ForecastSettings, Naive, SeasonalNaive
from experiments.forecasting_pictures import FITTED, HORIZON, LENGTH, LEVELS, OURS, SHOWN, make_figures, packed
from experiments.page import Experiment, Results, format_table

_ROOT = Path(__file__).parent.parent
_NOISE = 0.2
_HALF_WIDTHS = {0.8: 1.2816, 0.95: 1.96}
"""Half-widths of normal intervals by level, in standard deviations."""
_WAVES = ((0.01, 0.1), (0.01, 0.5), (0.03, 0.2), (0.1, 0.2))
"""Frequencies and noise levels, in addition to the chapter's."""
_CUTS = (300, 368, 421, 470)
"""Numbers of months that the models of the real series are fitted to."""
_STEPS = (1, 6, 12, 24)
_NONLINEAR_STEPS = (1, 2, 4)

Values: TypeAlias = NDArray[np.float64]


def _wave(seed: int, frequency: float = 0.01, noise: float = _NOISE) -> tuple[Values, Values]:
    """Returns the chapter's series, and the same series without noise."""
    clean = np.sin(frequency * np.arange(1, LENGTH + 1))
    return clean + np.random.default_rng(seed).normal(0, noise, LENGTH), clean


def _logistic(seed: int) -> Values:
    """Returns the logistic map x' = 3.8 x (1 - x), observed with noise of standard deviation 0.01."""
    values = np.empty(LENGTH)
    random = np.random.default_rng(seed)
    values[0] = random.uniform(0.2, 0.8)
    for t in range(1, LENGTH):
        values[t] = 3.8 * values[t - 1] * (1 - values[t - 1])
    return values + random.normal(0, 0.01, LENGTH)


def _threshold(seed: int) -> Values:
    """Returns a threshold autoregression with two regimes, below and above 3.25. After Tong, 1990 (Canadian lynx)."""
    random = np.random.default_rng(seed)
    values = np.zeros(LENGTH)
    for t in range(2, LENGTH):
        near, far = values[t - 1], values[t - 2]
        mean = 0.62 + 1.25 * near - 0.43 * far if far <= 3.25 else 2.25 + 1.52 * near - 1.24 * far
        values[t] = mean + random.normal(0, 0.2)
    return values


_NONLINEAR: dict[str, Callable[[int], Values]] = {"logistic map": _logistic, "threshold AR": _threshold}


def measure(quick: bool) -> Results:
    """Measures ten seeds of the chapter's series, three of each other series, and four dates of the real series."""
    small: dict[str, Any] = (
        {"members": 2, "epochs": 1, "num_paths": 20, "hidden_size": 8, "max_lags": 16} if quick else {}
    ) | {"method": "network"}
    seeds = range(1 if quick else 10)
    return {
        "seeds": len(seeds),
        "chapter": [_measure_wave(seed, 0.01, _NOISE, small) for seed in seeds],
        "waves": [
            {
                "frequency": frequency,
                "noise": noise,
                "runs": [_measure_wave(seed, frequency, noise, small) for seed in range(1 if quick else 3)],
            }
            for frequency, noise in _WAVES[: 1 if quick else None]
        ],
        "nonlinear": {
            name: [_measure_nonlinear(make(seed), small) for seed in range(1 if quick else 3)]
            for name, make in _NONLINEAR.items()
        },
        "example": _example(small),
        "real": [_measure_real(cut, small) for cut in _CUTS[: 1 if quick else None]],
    }


def _measure_wave(seed: int, frequency: float, noise: float, small: dict[str, Any]) -> dict[str, Any]:
    values, clean = _wave(seed, frequency, noise)
    settings = ForecastSettings(horizon=HORIZON, **small)
    report = forecasting.backtest(
        values, settings, held_out=LENGTH - FITTED, baselines=[Naive(), AutoRegression(4)], levels=LEVELS
    )
    # Coverage of intervals around the series without noise: the best that a model with full knowledge can do.
    errors = np.abs(values - clean)[FITTED:]
    perfect = {
        str(level): [float(np.mean(errors[step:] <= width * noise)) for step in range(HORIZON)]
        for level, width in _HALF_WIDTHS.items()
    }
    return {
        "seed": seed,
        "shrinkage": report.forecaster.shrinkage,
        "rmse": {_name_in_page(name): _at(scores.rmse, SHOWN) for name, scores in report.scores.items()},
        "coverage": {str(level): _at(shares, SHOWN) for level, shares in report.coverage.items()},
        "perfect": {level: _at(shares, SHOWN) for level, shares in perfect.items()},
        "curves": {str(level): packed(shares) for level, shares in report.coverage.items()},
    }


def _measure_nonlinear(values: Values, small: dict[str, Any]) -> dict[str, Any]:
    settings = ForecastSettings(horizon=4, **small)
    report = forecasting.backtest(values, settings, held_out=LENGTH - FITTED, baselines=[Naive(), AutoRegression(4)])
    return {
        "shrinkage": report.forecaster.shrinkage,
        "rmse": {_name_in_page(name): _at(scores.rmse, _NONLINEAR_STEPS) for name, scores in report.scores.items()},
        "coverage": {str(level): _at(shares, _NONLINEAR_STEPS) for level, shares in report.coverage.items()},
    }


def _example(small: dict[str, Any]) -> dict[str, Any]:
    """Returns forecasts of seed 0 from every held-out point, for the pictures."""
    values, clean = _wave(0)
    forecaster = forecasting.fit(values[:FITTED], ForecastSettings(horizon=HORIZON, **small))
    origins = np.arange(FITTED, LENGTH)
    found = forecaster.forecast_from(values, origins)
    four = AutoRegression(4)
    four.fit(values[:FITTED])
    forecast_of_four = four.forecast(values, origins, HORIZON)
    bounds = {level: found.interval(level) for level in LEVELS}
    steps = {}
    for step in SHOWN:
        count = len(origins) - step + 1
        steps[str(step)] = {
            "mean": packed(found.mean[:count, step - 1]),
            "AR(4)": packed(forecast_of_four[:count, step - 1]),
            **{str(level): [packed(bound[:count, step - 1]) for bound in pair] for level, pair in bounds.items()},
        }
    return {"values": packed(values), "clean": packed(clean), "steps": steps}


def _measure_real(cut: int, small: dict[str, Any]) -> dict[str, Any]:
    series = forecasting.read_series(_ROOT / "docs" / "data" / "co2-monthly.csv", "co2", missing="interpolate")
    seasonal = SeasonalNaive(12)
    report = forecasting.backtest(
        series,
        ForecastSettings(horizon=24, **small),
        held_out=len(series) - cut,
        baselines=[Naive(), seasonal, AutoRegression(4), AutoRegression(13)],
        levels=LEVELS,
    )
    found = report.forecaster.forecast()
    after = slice(cut, cut + 24)
    return {
        "cut": cut,
        "label": series.label(cut - 1),
        "season": report.season,
        "rmse": {_name_in_page(name): _at(scores.rmse, _STEPS) for name, scores in report.scores.items()},
        "coverage": {str(level): _at(shares, _STEPS) for level, shares in report.coverage.items()},
        "past": packed(series.values[cut - 60 : cut]),
        "future": packed(series.values[after]),
        "mean": packed(found.mean),
        "seasonal": packed(seasonal.forecast(series.values, np.array([cut]), 24)[0]),
        "bounds": {str(level): [packed(bound) for bound in found.interval(level)] for level in LEVELS},
    }


def _name_in_page(name: str) -> str:
    """Returns the name of a model in the page, which calls the network charloom."""
    return OURS if name == "network" else name


def _at(values: Values | Sequence[float], steps: Sequence[int]) -> dict[str, float]:
    """Returns the values at the given steps ahead, by step."""
    return {str(step): round(float(values[step - 1]), 4) for step in steps}


def _spread(values: Sequence[float], digits: int = 3) -> str:
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _percent(shares: Sequence[float]) -> str:
    return f"{100 * np.mean(shares):.1f}% ({100 * min(shares):.1f} to {100 * max(shares):.1f})"


def make_tables(results: Results) -> dict[str, str]:
    """Returns the tables of errors, coverage, other waves, nonlinear series, and the real series."""
    chapter = results["chapter"]

    def rmse(runs: Sequence[dict[str, Any]], name: str, step: int) -> list[float]:
        return [run["rmse"][name][str(step)] for run in runs]

    errors = [[step, *(_spread(rmse(chapter, name, step)) for name in (OURS, "AR(4)", "naive"))] for step in SHOWN]
    ratios = [
        error / baseline for error, baseline in zip(rmse(chapter, OURS, 1), rmse(chapter, "AR(4)", 1), strict=True)
    ]
    coverage = [
        [
            step,
            f"{100 * level:.0f}%",
            *(_percent([run[key][str(level)][str(step)] for run in chapter]) for key in ("coverage", "perfect")),
        ]
        for step in SHOWN
        for level in LEVELS
    ]
    waves = [
        [
            f"sin({wave['frequency']:g} t), noise {wave['noise']:g}",
            *(
                f"{np.mean(rmse(wave['runs'], OURS, step)):.3f} / {np.mean(rmse(wave['runs'], 'AR(4)', step)):.3f}"
                for step in (1, 64)
            ),
            *(f"{100 * np.mean([run['coverage']['0.8'][str(step)] for run in wave['runs']]):.0f}%" for step in (4, 64)),
        ]
        for wave in results["waves"]
    ]
    nonlinear = [
        [
            f"{name}, {step} ahead",
            *(_spread(rmse(runs, method, step)) for method in (OURS, "AR(4)")),
            f"{100 * np.mean([run['coverage']['0.8'][str(step)] for run in runs]):.0f}%",
        ]
        for name, runs in results["nonlinear"].items()
        for step in _NONLINEAR_STEPS
    ]
    real = results["real"]
    names = [OURS, "seasonal naive (12)", "AR(13)", "AR(4)"]
    return {
        "errors": format_table(["steps ahead", OURS, "AR(4)", "naive"], errors),
        "ratio": format_table(
            ["one step ahead", "mean", "best seed", "worst seed"],
            [["error relative to AR(4)", *(f"{pick:.3f}" for pick in (np.mean(ratios), min(ratios), max(ratios)))]],
        ),
        "coverage": format_table(["steps ahead", "nominal", "coverage", "perfect intervals"], coverage),
        "waves": format_table(["series", "1 ahead, charloom / AR(4)", "64 ahead", "80% at 4", "80% at 64"], waves),
        "nonlinear": format_table(["series", OURS, "AR(4)", "80% interval"], nonlinear),
        "real": format_table(
            ["months ahead", *names], [[step, *(_spread(rmse(real, n, step), 2) for n in names)] for step in _STEPS]
        ),
        "real-cuts": format_table(
            ["fitted up to", "1 ahead", "24 ahead", "AR(13), 24", "80% at 24"],
            [
                [
                    run["label"],
                    f"{run['rmse'][OURS]['1']:.2f}",
                    f"{run['rmse'][OURS]['24']:.2f}",
                    f"{run['rmse']['AR(13)']['24']:.2f}",
                    f"{100 * run['coverage']['0.8']['24']:.0f}%",
                ]
                for run in real
            ],
        ),
    }


EXPERIMENT = Experiment(measure, make_tables, make_figures)
