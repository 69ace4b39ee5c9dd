"""How good are charloom's forecasts and intervals, and how long do they take, compared with StatsForecast's models?

Each model is fitted to a series up to a cutoff and forecasts the points after it; cutoffs are one horizon apart. All
models are given the same season, and run on one thread. The series are those of the documentation, of statsmodels and
of StatsForecast. With ``--m4 FOLDER``, they are series of the M4 competition: the folder contains Hourly-train.csv and
Hourly-test.csv, Weekly-train.csv and Weekly-test.csv, and the only cutoff is the end of the training file.

Measures, as means over series and cutoffs: MASE and sMAPE as in the M4 competition, the share of true values within the
80% interval, and seconds of fitting and forecasting.

StatsForecast runs in an environment of its own (``peers/statsforecast.txt``).
"""

import argparse
import csv
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alternate import machine, write_result
from charloom.forecasting import AutoCharloom, ForecastSettings, read_series
from peers.workers import Worker

_CO2 = Path(__file__).parents[1] / "docs" / "data" / "co2-monthly.csv"
_PEERS = ("AutoARIMA", "AutoETS", "AutoTheta", "SeasonalNaive")
_LEVEL = 80
_HORIZONS = {1: 6, 4: 8, 12: 18}
"""Horizon by season, as in the M4 competition."""
_M4 = {"Hourly": (24, 48), "Weekly": (1, 13)}
"""Season and horizon by frequency; the competition treats weekly series as without a season."""
_MEASURES = ("mase", "smape", "coverage", "seconds")


class Task(NamedTuple):
    """A series with the true values after its end.

    Attributes:
        name: Name of the series.
        values: Points to fit to.
        true: Points to forecast.
        season: Points per season, 1 for none.
    """

    name: str
    values: NDArray[np.float64]
    true: NDArray[np.float64]
    season: int


def cut(name: str, values: list[float], season: int, cutoffs: int) -> Iterator[Task]:
    """Yields a task for each cutoff, the latest last."""
    horizon = _HORIZONS[season]
    for number in range(cutoffs, 0, -1):
        end = len(values) - number * horizon
        yield Task(name, np.array(values[:end]), np.array(values[end : end + horizon]), season)


def read_m4(folder: Path, limit: int) -> Iterator[Task]:
    """Yields ``limit`` evenly spaced series of each frequency of the M4 competition."""
    for frequency, (season, horizon) in _M4.items():
        parts = []
        for part in ("train", "test"):
            with (folder / f"{frequency}-{part}.csv").open(newline="") as file:
                rows = list(csv.reader(file))[1:]
            parts.append({row[0]: np.array([float(cell) for cell in row[1:] if cell]) for row in rows})
        names = list(parts[0])
        for index in np.unique(np.linspace(0, len(names) - 1, min(limit, len(names))).astype(int)):
            yield Task(names[index], parts[0][names[index]], parts[1][names[index]][:horizon], season)


def forecast(task: Task) -> dict[str, Any]:
    """Returns the answer of charloom, as that of a worker."""
    settings = ForecastSettings(horizon=len(task.true))
    start = time.perf_counter()
    found = AutoCharloom(task.season, settings).forecast(task.values, len(task.true), level=[_LEVEL])
    seconds = time.perf_counter() - start
    return {"mean": found["mean"], "low": found[f"lo-{_LEVEL}"], "high": found[f"hi-{_LEVEL}"], "seconds": seconds}


def score(task: Task, answer: dict[str, Any]) -> dict[str, float]:
    """Computes the measures of a forecast."""
    mean, low, high = (np.array(answer[name]) for name in ("mean", "low", "high"))
    unit = float(np.mean(np.abs(task.values[task.season :] - task.values[: -task.season])))
    errors = np.abs(task.true - mean)
    return {
        "mase": float(np.mean(errors)) / unit,
        "smape": float(np.mean(200 * errors / (np.abs(task.true) + np.abs(mean)))),
        "coverage": float(np.mean((low <= task.true) & (task.true <= high))),
        "seconds": answer["seconds"],
    }


def main() -> None:
    """Runs all models on all series, prints a table and writes ``results/forecast_peers.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--m4", type=Path, help="folder of the M4 competition's files")
    parser.add_argument("--limit", type=int, default=20, help="series of each frequency of M4")
    parser.add_argument("--cutoffs", type=int, default=3, help="cutoffs of each of the other series")
    parser.add_argument("--peers", nargs="*", choices=_PEERS, default=_PEERS, help="models to compare with")
    options = parser.parse_args()
    worker = Worker("statsforecast", threads=1)
    if options.m4:
        tasks = list(read_m4(options.m4, options.limit))
    else:
        series = worker.measure({"series": True})["series"]
        series["co2"] = (read_series(_CO2, "co2", missing="interpolate").values.tolist(), 12)
        tasks = [
            task for name, (values, season) in series.items() for task in cut(name, values, season, options.cutoffs)
        ]
    rows = []
    # The first forecast includes imports and is not counted.
    warm_up = tasks[0]._replace(values=tasks[0].values[-60:], season=1)
    for number, task in enumerate([warm_up, *tasks]):
        request = {"values": task.values.tolist(), "season": task.season, "horizon": len(task.true), "level": _LEVEL}
        for model in ("charloom", *options.peers):
            answer = forecast(task) if model == "charloom" else worker.measure(request | {"model": model})
            if "refused" in answer:
                print(f"{task.name}: {model} failed: {answer['refused']}", flush=True)
            elif number:
                rows.append({"series": task.name, "points": len(task.values), "model": model} | score(task, answer))
    worker.close()
    summary = summarize(rows, len(tasks))
    write_result(
        "forecast_peers_m4" if options.m4 else "forecast_peers",
        {
            "question": (__doc__ or "").partition("\n")[0],
            "means": summary,
            "rows": rows,
            "machine": machine(),
        },
    )


def summarize(rows: list[dict[str, Any]], num_tasks: int) -> dict[str, dict[str, float]]:
    """Prints and returns the means of each model."""
    summary = {}
    print(f"{'':14}" + "".join(f"{name:>10}" for name in _MEASURES) + f"{'median s':>10}{'failed':>8}")
    for model in dict.fromkeys(row["model"] for row in rows):
        of_model = [row for row in rows if row["model"] == model]
        means = {name: statistics.mean(row[name] for row in of_model) for name in _MEASURES}
        means |= {
            "median_seconds": statistics.median(row["seconds"] for row in of_model),
            "failed": num_tasks - len(of_model),
        }
        summary[model] = means
        print(f"{model:14}" + "".join(f"{means[name]:10.3f}" for name in (*_MEASURES, "median_seconds")), end="")
        print(f"{means['failed']:8d}")
    return summary


if __name__ == "__main__":
    main()
