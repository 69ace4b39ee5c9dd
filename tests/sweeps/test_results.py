"""The table of results of runs."""

import csv
import io
import json
import math
import statistics
from dataclasses import replace
from typing import Any

import pytest

from charloom import CorpusSettings, EpochRecord, History, ModelSettings, Recipe, TrainingSettings
from charloom.sweeps.picture import draw_sweep
from charloom.sweeps.results import SweepResults, SweepRun, combinations_as_csv, runs_as_json_lines
from html_fragments import cells_of, show, text_of

_BASE = Recipe(CorpusSettings(), ModelSettings(), TrainingSettings(validation_fraction=0.1))


def _run(validation: list[float], *, outcome: Any = "finished", **changes: Any) -> SweepRun:
    records = [EpochRecord(epoch, 9.0 / epoch, value, 0.5 * epoch, 100.0) for epoch, value in enumerate(validation, 1)]
    return SweepRun(_BASE.with_changes(changes), outcome, "", History(records))


_RESULTS = SweepResults(
    ("hidden_size",),
    [
        _run([5.0, 4.0, 6.0], hidden_size=8, seed=1),
        _run([5.0, 4.5, 4.4], hidden_size=16, seed=0),
        _run([5.0, 3.0, 5.0], hidden_size=8, seed=0),
        _run([5.0], hidden_size=32, seed=0, outcome="diverged"),
    ],
)


def test_combinations() -> None:
    """Sorted by final perplexity; means and deviations over seeds; a diverged run is the worst."""
    best, second, worst = _RESULTS.combinations()
    assert [one.values["hidden_size"] for one in (best, second, worst)] == [16, 8, 32]
    assert [run.recipe.training.seed for run in second.runs] == [0, 1]
    assert best.validation_perplexity == (4.4, None)
    assert second.validation_perplexity == pytest.approx((5.5, statistics.stdev([6.0, 5.0])))
    assert second.best_validation_perplexity == pytest.approx((3.5, statistics.stdev([4.0, 3.0])))
    assert second.best_epoch == (2.0, 0.0)
    assert second.perplexity == (3.0, 0.0)
    assert second.seconds == (1.5, 0.0)
    assert (worst.validation_perplexity, worst.num_diverged) == ((math.inf, None), 1)
    assert _RESULTS.find(hidden_size=16) == best
    with pytest.raises(KeyError):
        _RESULTS.find(hidden_size=1)


def test_files() -> None:
    rows = list(csv.DictReader(io.StringIO(combinations_as_csv(_RESULTS))))
    assert [row["hidden_size"] for row in rows] == ["16", "8", "32"]
    assert float(rows[1]["best_validation_perplexity"]) == 3.5
    assert (rows[2]["diverged"], rows[2]["validation_perplexity"], rows[2]["validation_perplexity_sd"]) == (
        "1",
        "inf",
        "",
    )
    lines = [json.loads(line) for line in runs_as_json_lines(_RESULTS).splitlines()]
    assert [(line["hidden_size"], line["seed"], line["outcome"]) for line in lines] == [
        (16, 0, "finished"),
        (8, 0, "finished"),
        (8, 1, "finished"),
        (32, 0, "diverged"),
    ]
    assert lines[3]["validation_perplexity"] is None


def test_a_run_without_an_epoch_has_no_best_epoch() -> None:
    """It is omitted from the means of the best epochs, but not from that of the final perplexities."""
    none = _run([], hidden_size=8, seed=2, outcome="diverged")
    assert (none.kept, none.best, none.best_epoch, none.seconds) == (None, None, None, 0.0)
    (one,) = SweepResults(("hidden_size",), [none, _run([5.0, 3.0], hidden_size=8, seed=0)]).combinations()
    assert (one.best_epoch, one.best_validation_perplexity) == ((2.0, None), (3.0, None))
    assert one.validation_perplexity == (math.inf, None)


def test_without_validation_sorted_by_training() -> None:
    plain = Recipe(CorpusSettings(), ModelSettings(), TrainingSettings())

    def run(perplexity: float, cell: str) -> SweepRun:
        history = History([EpochRecord(1, perplexity, None, 1.0, 1.0)])
        return SweepRun(plain.with_changes({"cell": cell}), "finished", "", history)

    results = SweepResults(("cell",), [run(3.0, "rnn"), run(2.0, "gru")])
    assert [one.values["cell"] for one in results.combinations()] == ["gru", "rnn"]
    assert results.combinations()[0].validation_perplexity is None
    assert "gru,1,0,,,,,,,2.0,,1.0," in combinations_as_csv(results)
    assert draw_sweep(results).startswith(b"\x89PNG")


def test_notebook() -> None:
    """A row for each combination, best first; runs that are missing or failed have notes."""
    html = show(replace(_RESULTS, num_missing=2, failures={"seed=<3>": "killed"}))
    headings, *rows = cells_of(html)
    assert headings[:2] == ["hidden size", "validation perplexity"]
    assert [row[0] for row in rows] == ["16", "8", "32"]
    assert [row[1] for row in rows] == ["4.4", "5.5 ± 0.71", "inf"]
    assert text_of(html).endswith("2 runs missingseed=<3>: killed")
    show(SweepResults((), []))
    show(SweepResults(("hidden_size",), [_run([], hidden_size=8, outcome="diverged")]))


def test_frame() -> None:
    """It has the columns and rows of results.csv."""
    frame = _RESULTS.to_frame()
    assert frame.to_csv(index=False) == combinations_as_csv(_RESULTS)
    assert len(SweepResults((), []).to_frame()) == 0
