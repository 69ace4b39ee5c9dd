"""The picture of a sweep."""

import math
from typing import Any

from charloom import EpochRecord, History, Recipe
from charloom.sweeps.picture import draw_sweep
from charloom.sweeps.results import SweepResults, SweepRun


def _run(validation: list[float], *, outcome: Any = "finished", **changes: Any) -> SweepRun:
    records = [EpochRecord(epoch, 9.0 / epoch, value, 0.5 * epoch, 100.0) for epoch, value in enumerate(validation, 1)]
    recipe = Recipe().with_changes({"validation_fraction": 0.1} | changes)
    return SweepRun(recipe, outcome, "", History(records))


def test_pictures() -> None:
    """A second picture for a single varied number; infinite or missing values and a single epoch are drawn."""
    numbers = [_run([5.0, 4.0], hidden_size=8), _run([5.0, 4.5], hidden_size=16), _run([5.0], outcome="diverged")]
    assert draw_sweep(SweepResults(("hidden_size",), numbers)).startswith(b"\x89PNG")
    wild = [
        _run([], outcome="diverged", hidden_size=3, cell="gru"),
        _run([math.inf], hidden_size=4),
        *(_run([4.0, 3.0], hidden_size=size) for size in range(5, 15)),
    ]
    assert draw_sweep(SweepResults(("hidden_size", "cell"), wild)).startswith(b"\x89PNG")
    wide = {"tied_output": True, "embedding_size": 8, "nonlinearity": "relu", "weight_decay": 0.123, "init_sigma": 0.5}
    runs = [_run([4.0, 3.0], hidden_size=8), _run([4.0, 3.0], hidden_size=8, **wide)]
    assert draw_sweep(SweepResults(tuple(wide), runs)).startswith(b"\x89PNG")  # matplotlib warns of a misfit
    assert draw_sweep(SweepResults((), wild[1:2])).startswith(b"\x89PNG")
