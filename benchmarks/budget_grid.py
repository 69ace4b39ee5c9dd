"""Does the rule of ``--minutes`` choose well, for every length of text and every time?

Models are trained with the settings that the rule chooses, and with variations of them, on the end of a text; its last
200,000 characters (a tenth, if it is short) are held out, so that all models are scored on the same text. The time is
nominal: the number of operations that a machine with the rule's nominal rate makes in it, so that the results do not
depend on this machine. Each result is written at once, and results that exist are not measured again.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

import charloom
from alternate import machine
from charloom.runs.budget import Budget, choose_settings

_ROOT = Path(__file__).parent.parent
_RESULTS = _ROOT / "benchmarks" / "results" / "budget_grid.json"
_PICTURE = _ROOT / "docs" / "pictures" / "budget-grid.svg"
_MAX_HELD_OUT = 200_000
_RULE = "rule"
_VARIATIONS: dict[str, dict[str, float]] = {
    _RULE: {},
    "hidden_size x 0.75": {"hidden_size": 0.75},
    "hidden_size x 1.33": {"hidden_size": 4 / 3},
    "no dropout": {"dropout": -1.0},
    "dropout - 0.1": {"dropout": -0.1},
    "dropout + 0.1": {"dropout": 0.1},
    "weight_decay x 0.2": {"weight_decay": 0.2},
    "weight_decay x 2": {"weight_decay": 2.0},
    "num_steps x 2": {"batch_size": 1.0, "num_steps": 2.0},
    "batch_size x 0.5": {"batch_size": 0.5, "num_steps": 1.0},
    "learning_rate x 0.7": {"learning_rate": 0.7},
    "learning_rate x 1.4": {"learning_rate": 1.4},
}
"""Changes of a setting by variation: a summand of a probability, a factor of anything else."""
_REPORTED = ("hidden_size", "batch_size", "num_steps", "epochs", "learning_rate", "weight_decay", "dropout")


@dataclass(frozen=True)
class Point:
    """A combination of the grid.

    Attributes:
        text: Names of the files that form the text.
        length: Length of the training text.
        minutes: Nominal time.
        variation: Key of ``_VARIATIONS``.
        seed: Seed of the training.
    """

    text: str
    length: int
    minutes: float
    variation: str
    seed: int


def fit(point: Point, vocabulary_size: int) -> tuple[charloom.Recipe, int]:
    """Returns the settings of a point, and the number of characters to train on: fewer if an epoch is too long."""
    start = charloom.load_recipe("auto").with_changes({"validation_fraction": 0.0, "sample_every": 0})
    start = start.with_changes({"seed": point.seed, "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or None})
    budget = Budget(point.length, vocabulary_size, 60 * point.minutes)
    chosen = start.with_changes(choose_settings(budget, start, start.given, timed=False))
    changes: dict[str, float] = {}
    for name, change in _VARIATIONS[point.variation].items():
        value = chosen.values[name]
        assert isinstance(value, float | int)
        added = name == "dropout"
        changes[name] = round(min(0.9, max(0.0, value + change)) if added else value * change, 4)
        if isinstance(value, int):
            changes[name] = max(1, round(changes[name] / 8) * 8 if changes[name] > 8 else round(changes[name]))
    start = start.with_changes(changes)
    recipe = start.with_changes(choose_settings(budget, start, start.given, timed=False))
    return recipe, int(min(point.length, budget.tokens_to_train_on(recipe.model)))


def measure(point: Point, training: str, held_out: str) -> dict[str, Any]:
    """Trains with the settings of a point, and returns the held-out loss with the settings."""
    recipe, length = fit(point, len(set(training)))
    corpus = charloom.corpus_from(training[-length:])
    model = charloom.build_model(corpus.vocabulary, recipe.model, seed=point.seed)
    started = time.perf_counter()
    charloom.train(model, corpus, recipe.training)
    seconds = time.perf_counter() - started
    nats = charloom.evaluate(model, held_out, unknown="skip").nats_per_char
    settings = {name: recipe.values[name] for name in _REPORTED}
    return vars(point) | {"nats": round(nats, 4), "seconds": round(seconds, 1), "settings": settings}


def mean_losses(rows: list[dict[str, Any]]) -> dict[tuple[str, int, float], dict[str, float]]:
    """Returns the mean loss over seeds by variation, for each text, length and time."""
    losses: defaultdict[tuple[str, int, float], defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        losses[row["text"], row["length"], row["minutes"]][row["variation"]].append(row["nats"])
    return {
        key: {name: statistics.mean(values) for name, values in found.items()} for key, found in sorted(losses.items())
    }


def report(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yields a line for each text, length and time, with the losses of the rule and of its variations."""
    for (text, length, minutes), found in mean_losses(rows).items():
        losses = ", ".join(f"{name} {nats:.4f}" for name, nats in sorted(found.items(), key=lambda item: item[1]))
        yield f"{text}, {length:,d} characters, {minutes:g} min: {losses}"


def draw(rows: list[dict[str, Any]], text: str) -> None:
    """Draws the loss of the rule against the nominal time, with a line for each length of a text."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    means = {key[1:]: found for key, found in mean_losses(rows).items() if key[0] == text}
    for length in sorted({length for length, _ in means}, reverse=True):
        points = [(m, found[_RULE]) for (n, m), found in means.items() if n == length and _RULE in found]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=f"{length / 1000:,.0f} kB")
    axes.set_xscale("log")
    axes.set_xlabel("nominal minutes")
    axes.set_ylabel("held-out loss, nats per character")
    axes.legend(title="length of the text")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(_PICTURE, metadata={"Date": None})


def main() -> None:
    """Measures the points of the grid that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", nargs="*", type=int, default=[20_000, 100_000, 500_000, 2_500_000])
    parser.add_argument("--minutes", nargs="*", type=float, default=[0.25, 1, 3, 10])
    parser.add_argument("--variations", nargs="*", default=list(_VARIATIONS), choices=list(_VARIATIONS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--picture", action="store_true", help="draw the curves of this text")
    parser.add_argument("texts", nargs="*", type=Path, help="joined; default: the novels in CHARLOOM_DATA/english")
    options = parser.parse_args()
    texts = options.texts or sorted((Path(os.environ.get("CHARLOOM_DATA", "")) / "english").glob("*.txt"))
    if not texts:
        parser.error("pass texts, or set CHARLOOM_DATA to a folder with english/*.txt")
    text = "".join(path.read_text(encoding="utf-8") for path in texts)
    name = " ".join(path.name for path in texts)
    split = len(text) - min(_MAX_HELD_OUT, len(text) // 10)
    rows = json.loads(_RESULTS.read_text())["rows"] if _RESULTS.exists() else []
    done = {Point(**{field: row[field] for field in Point.__dataclass_fields__}) for row in rows}
    points = [
        Point(name, length, minutes, variation, seed)
        for seed in range(options.seeds)
        for variation in options.variations
        for minutes in options.minutes
        for length in options.lengths
    ]
    for point in points:
        if point.length > split:
            print(f"skipped: {point.length:,} characters, the text has {split:,}")
        elif point not in done:
            row = measure(point, text[split - point.length : split], text[split:])
            rows.append(row)
            print(row, flush=True)
            _RESULTS.write_text(json.dumps({"question": __doc__, "rows": rows, "machine": machine()}, indent=1) + "\n")
    print(*report(rows), sep="\n")
    if options.picture:
        draw(rows, name)


if __name__ == "__main__":
    main()
