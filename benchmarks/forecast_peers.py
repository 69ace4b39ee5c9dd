"""How good are charloom's forecasts and intervals, and how long do they take, compared with StatsForecast's models?

Each model is fitted to a series up to a cutoff and forecasts the points after it; cutoffs are one horizon apart. All
models are given the same season, and each runs in a process of its own with one thread. The series are those of the
documentation, of statsmodels and of StatsForecast. With ``--m4 FOLDER``, they are series of the M4 competition: the
folder contains Hourly-train.csv and Hourly-test.csv, Weekly-train.csv and Weekly-test.csv, the only cutoff is the end
of the training file, and seasons and horizons are the competition's: 24 and 48 points for hourly series, 1 (no season)
and 13 points for weekly ones. ``--series 40`` takes every k-th series of each frequency, for the largest k that gives
40 of them, so that the sample is spread over the file.

Measures, as means over series and cutoffs, for M4 by frequency: MASE and sMAPE by the definitions of the M4
competition, the share of true values within the 80% interval, and seconds of fitting and forecasting. MASE is the mean
absolute error divided by the mean absolute difference of the fitted points to those one season before them. sMAPE is
the mean of 200 |error| / (|true value| + |forecast|), in percent.

StatsForecast runs in an environment of its own (``peers/statsforecast.txt``).
"""

import argparse
import csv
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alternate import machine, write_result
from charloom.forecasting import read_series
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


def read_m4(folder: Path, number: int) -> tuple[list[Task], dict[str, dict[str, int]]]:
    """Reads every k-th series of each frequency of the M4 competition.

    Args:
        folder: Folder of the competition's files.
        number: Number of series of each frequency.

    Returns:
        The tasks and, for each frequency, the numbers of series in the file and in the sample, and k (``every``).
    """
    tasks, sample = [], {}
    for frequency, (season, horizon) in _M4.items():
        parts = []
        for part in ("train", "test"):
            with (folder / f"{frequency}-{part}.csv").open(newline="") as file:
                rows = list(csv.reader(file))[1:]
            parts.append({row[0]: np.array([float(cell) for cell in row[1:] if cell]) for row in rows})
        names = list(parts[0])
        every = max(1, len(names) // number)
        chosen = names[::every][:number]
        tasks += [Task(name, parts[0][name], parts[1][name][:horizon], season) for name in chosen]
        sample[frequency] = {"in_file": len(names), "series": len(chosen), "every": every}
    return tasks, sample


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
    parser.add_argument("--series", type=int, default=20, help="number of series of each frequency of M4")
    parser.add_argument("--cutoffs", type=int, default=3, help="cutoffs of each of the other series")
    parser.add_argument("--peers", nargs="*", choices=_PEERS, default=_PEERS, help="models to compare with")
    options = parser.parse_args()
    workers = {name: Worker(name, threads=1) for name in ("charloom", "statsforecast")}
    if options.m4:
        tasks, sample = read_m4(options.m4, options.series)
    else:
        series = workers["statsforecast"].measure({"series": True})["series"]
        series["co2"] = (read_series(_CO2, "co2", missing="interpolate").values.tolist(), 12)
        tasks = [
            task for name, (values, season) in series.items() for task in cut(name, values, season, options.cutoffs)
        ]
        sample = {}
    rows = []
    # The first forecast includes imports and is not counted. Its horizon is short enough for all of charloom's methods.
    warm_up = tasks[0]._replace(values=tasks[0].values[-60:], true=tasks[0].true[:6], season=1)
    for number, task in enumerate([warm_up, *tasks]):
        print(f"{number}/{len(tasks)} {task.name}, {len(task.values)} points", file=sys.stderr, flush=True)
        request = {"values": task.values.tolist(), "season": task.season, "horizon": len(task.true), "level": _LEVEL}
        for model in ("charloom", *options.peers):
            worker = workers["charloom" if model == "charloom" else "statsforecast"]
            answer = worker.measure(request | {"model": model})
            if "refused" in answer:
                print(f"{task.name}: {model} failed: {answer['refused']}", file=sys.stderr, flush=True)
            elif number:
                rows.append({"series": task.name, "points": len(task.values), "model": model} | score(task, answer))
    for worker in workers.values():
        worker.close()
    means: dict[str, Any] = {}
    # The means over all frequencies would be those of the one with the larger errors.
    for frequency, counts in sample.items():
        print(f"{frequency}: {counts['series']} of {counts['in_file']} series, every k-th for k = {counts['every']}")
        of_frequency = [row for row in rows if row["series"].startswith(frequency[0])]
        means[frequency] = summarize(of_frequency, counts["series"])
    if not sample:
        means = summarize(rows, len(tasks))
    write_result(
        "forecast_peers_m4" if options.m4 else "forecast_peers",
        {
            "question": (__doc__ or "").partition("\n")[0],
            "sample": sample,
            "means": means,
            "rows": rows,
            "machine": machine() | {"threads": 1},
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
