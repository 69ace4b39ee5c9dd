"""The results of a sweep: its runs, and statistics over seeds."""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from charloom.errors import pluralize
from charloom.io import markup
from charloom.io.frames import make_frame
from charloom.settings.names import Value
from charloom.settings.recipes import Recipe
from charloom.sweeps.plan import Combination
from charloom.training.history import EpochRecord, History

if TYPE_CHECKING:
    from pandas import DataFrame

Outcome: TypeAlias = Literal["finished", "diverged"]

_METRICS = ("validation_perplexity", "best_validation_perplexity", "best_epoch", "perplexity", "seconds")
"""Results that are written to the files: attributes of both SweepRun and CombinationResult."""


@dataclass(frozen=True)
class SweepRun:
    """A complete run of a sweep: finished or diverged.

    Attributes:
        recipe: All settings of the run; the seed is ``recipe.training.seed``.
        outcome: ``diverged`` if the loss became infinite or NaN.
        message: Description of the divergence; empty for a finished run.
        history: Records of the epochs; for a diverged run, of those before the divergence.
        folder: Folder of the run; None for a sweep without an output folder.
    """

    recipe: Recipe
    outcome: Outcome
    message: str
    history: History
    folder: Path | None = None

    @property
    def best(self) -> EpochRecord | None:
        """The record of the epoch with the lowest validation perplexity; None without validation or without epochs."""
        return self.history.best

    @property
    def kept(self) -> EpochRecord | None:
        """The record of the epoch whose weights are the final ones; None for a diverged run or without epochs."""
        if self.outcome == "diverged" or not self.history:
            return None
        # With keep_best or patience, training restores the weights of the best epoch at its end.
        return self.best if self.best and self.recipe.training.ends_with_best else self.history[-1]

    @property
    def perplexity(self) -> float:
        """Training perplexity of the epoch with the final weights; infinite for a diverged run."""
        return self.kept.perplexity if self.kept else math.inf

    @property
    def validation_perplexity(self) -> float | None:
        """Validation perplexity of the final weights; infinite for a diverged run, None without validation."""
        if not self.recipe.training.validation_fraction:
            return None
        # Infinite, not None: a diverged run must be sorted last and must not be omitted from the mean.
        kept = self.kept.validation_perplexity if self.kept else None
        return math.inf if kept is None else kept

    @property
    def best_validation_perplexity(self) -> float | None:
        """The lowest validation perplexity of any epoch; None without validation or without epochs."""
        return self.best.validation_perplexity if self.best else None

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest validation perplexity; None without validation or without epochs."""
        return self.best.epoch if self.best else None

    @property
    def seconds(self) -> float:
        """Seconds of training up to the end of the last epoch, validation included; 0 without epochs."""
        # Records count from the start of the run, so that the last one has the total.
        return self.history[-1].seconds if self.history else 0.0


class MeanAndSpread(NamedTuple):
    """A mean and a standard deviation over seeds.

    Attributes:
        mean: Mean of the values; infinite if one is infinite.
        spread: Sample standard deviation; None for a single value or an infinite mean.
    """

    mean: float
    spread: float | None


@dataclass(frozen=True)
class CombinationResult:
    """The runs of one combination, one for each seed.

    Attributes:
        values: Values of the varied settings, by name.
        runs: Runs of the combination, sorted by seed.
    """

    values: Combination
    runs: list[SweepRun]

    @property
    def num_diverged(self) -> int:
        """Number of diverged runs; their perplexity is infinite."""
        return sum(run.outcome == "diverged" for run in self.runs)

    @property
    def perplexity(self) -> MeanAndSpread:
        """Training perplexity of the final weights: mean and standard deviation over the runs."""
        return _mean_and_spread([run.perplexity for run in self.runs])

    @property
    def validation_perplexity(self) -> MeanAndSpread | None:
        """Validation perplexity of the final weights: mean and standard deviation over the runs.

        None without validation.
        """
        return _mean_and_spread_if_any([run.validation_perplexity for run in self.runs])

    @property
    def best_validation_perplexity(self) -> MeanAndSpread | None:
        """Lowest validation perplexity of each run: mean and standard deviation over the runs.

        Runs without an epoch are omitted. None without validation, or if no run has an epoch.
        """
        return _mean_and_spread_if_any([run.best_validation_perplexity for run in self.runs])

    @property
    def best_epoch(self) -> MeanAndSpread | None:
        """Epoch of each run with its lowest validation perplexity: mean and standard deviation over the runs.

        Runs without an epoch are omitted. None without validation, or if no run has an epoch.
        """
        return _mean_and_spread_if_any([run.best_epoch for run in self.runs])

    @property
    def seconds(self) -> MeanAndSpread:
        """Mean and standard deviation of the runs' training times in seconds."""
        return _mean_and_spread([run.seconds for run in self.runs])


@dataclass(frozen=True)
class SweepResults:
    """The results of the complete runs of a sweep.

    Attributes:
        varied: Names of the varied settings, without the seed.
        runs: Complete runs.
        num_missing: Number of planned runs that are not complete.
        failures: Reasons why runs failed, by folder name, such as a killed process or a lack of memory.
    """

    varied: tuple[str, ...]
    runs: list[SweepRun]
    num_missing: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def combinations(self) -> list[CombinationResult]:
        """Returns the combinations, best first: by validation perplexity, or training perplexity without validation."""
        groups: dict[tuple[Value, ...], CombinationResult] = {}
        # Sorted by seed, so that the order of the runs does not depend on which process was faster.
        for run in sorted(self.runs, key=lambda run: run.recipe.training.seed):
            values = {name: run.recipe.values[name] for name in self.varied}
            groups.setdefault(tuple(values.values()), CombinationResult(values, [])).runs.append(run)
        # Combinations with a diverged run have an infinite mean and come last.
        return sorted(groups.values(), key=lambda one: (one.validation_perplexity or one.perplexity).mean)

    def find(self, **values: Value) -> CombinationResult:
        """Returns the combination with these values of varied settings; omitted settings match any value.

        Raises KeyError if not exactly one combination matches.
        """
        found = [one for one in self.combinations() if values.items() <= one.values.items()]
        if len(found) != 1:
            raise KeyError(f"{len(found)} combinations have {values}")
        return found[0]

    def to_frame(self) -> "DataFrame":
        """Returns a pandas DataFrame with a row for each combination, best first, and the columns of ``results.csv``.

        Raises:
            CharloomError: pandas is not installed.
        """
        headings, rows = _make_rows(self)
        return make_frame({name: [row[place] for row in rows] for place, name in enumerate(headings)})

    def _repr_html_(self) -> str:
        metrics = [name for name in _METRICS if name != "best_epoch"]
        headings = [*self.varied, *metrics, "runs", "diverged"]
        rows = [
            [
                *one.values.values(),
                *(_describe(getattr(one, name)) for name in metrics),
                len(one.runs),
                one.num_diverged,
            ]
            for one in self.combinations()
        ]
        table = markup.make_table([heading.replace("_", " ") for heading in headings], rows)
        notes = [f"{pluralize(self.num_missing, 'run')} missing"] if self.num_missing else []
        notes += [f"{name}: {message}" for name, message in self.failures.items()]
        return markup.join(table, *map(markup.make_note, notes[: markup.MAX_ROWS]))


def runs_as_json_lines(results: SweepResults) -> str:
    """Returns a JSON line for each run: varied settings, seed, outcome and results; an infinite value is null."""
    lines = []
    for combination in results.combinations():
        for run in combination.runs:
            row = combination.values | {"seed": run.recipe.training.seed, "outcome": run.outcome}
            for name in _METRICS:
                value = getattr(run, name)
                # JSON has no infinity and no NaN; json.dumps would write Infinity, which other parsers reject.
                row[name] = value if value is not None and math.isfinite(value) else None
            row["epochs"] = len(run.history)
            # Relative to the folder of the sweep, which may be moved.
            row["folder"] = f"{run.folder.parent.name}/{run.folder.name}" if run.folder else None
            lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def combinations_as_csv(results: SweepResults) -> str:
    """Returns a CSV row for each combination, best first: means and standard deviations over seeds.

    An infinite value is inf, a missing one an empty cell.
    """
    text = io.StringIO()
    # The default line end of csv is that of Windows. It writes None as an empty cell.
    headings, rows = _make_rows(results)
    csv.writer(text, lineterminator="\n").writerows([headings, *rows])
    return text.getvalue()


def _make_rows(results: SweepResults) -> tuple[list[str], list[list[object]]]:
    """Returns the headings of the table of combinations, and a row for each, best first."""
    columns = [f"{metric}{part}" for metric in _METRICS for part in ("", "_sd")]
    rows: list[list[object]] = []
    for one in results.combinations():
        pairs = [getattr(one, metric) or (None, None) for metric in _METRICS]
        rows.append([*one.values.values(), len(one.runs), one.num_diverged, *(part for pair in pairs for part in pair)])
    return [*results.varied, "runs", "diverged", *columns], rows


def _describe(pair: MeanAndSpread | None) -> object:
    """Returns a mean as a number, or with its standard deviation as a text; None if it is not known."""
    if pair is None or pair.spread is None:
        return None if pair is None else pair.mean
    return f"{pair.mean:.4g} ± {pair.spread:.2g}"


def _mean_and_spread(values: Sequence[float]) -> MeanAndSpread:
    # fmean of an infinite value is infinite, but stdev raises an error for it.
    if not all(map(math.isfinite, values)):
        return MeanAndSpread(math.inf, None)
    return MeanAndSpread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


def _mean_and_spread_if_any(values: Sequence[float | None]) -> MeanAndSpread | None:
    # A run without the metric, such as one that diverged in its first epoch, is omitted from the mean.
    known = [value for value in values if value is not None]
    return _mean_and_spread(known) if known else None
