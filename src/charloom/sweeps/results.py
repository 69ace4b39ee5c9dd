"""What a sweep found: its runs, and what they say together."""

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from charloom.settings.recipes import Recipe
from charloom.sweeps.plan import setting_of
from charloom.training.history import EpochRecord, History

Outcome: TypeAlias = Literal["finished", "diverged"]


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep that came to its end.

    Attributes:
        recipe: Everything that it was set up with; the seed is ``recipe.training.seed``.
        outcome: ``diverged`` where its loss was no longer a finite number.
        message: What is said of a run that diverged.
        history: Its epochs; of a run that diverged, those before.
        kept_epoch: The epoch whose weights it ended with; None where there was none.
        folder: Where it is; None once a temporary folder is gone.
    """

    recipe: Recipe
    outcome: Outcome
    message: str
    history: History
    kept_epoch: int | None
    folder: Path | None = None

    @property
    def kept(self) -> EpochRecord | None:
        """The record of the epoch whose weights it ended with."""
        return self.history[self.kept_epoch - 1] if self.kept_epoch else None

    @property
    def perplexity(self) -> float:
        """In training, in the epoch whose weights it ended with; infinite for a run that diverged."""
        return self.kept.perplexity if self.kept and self.outcome == "finished" else math.inf

    @property
    def validation_perplexity(self) -> float | None:
        """Of the weights that it ended with; infinite for a run that diverged, None where nothing was kept out."""
        if not self.recipe.training.validation_fraction:
            return None
        kept = self.kept.validation_perplexity if self.kept and self.outcome == "finished" else None
        return math.inf if kept is None else kept

    @property
    def best(self) -> EpochRecord | None:
        """The epoch that was best in validation."""
        return self.history.best

    @property
    def seconds(self) -> float:
        """How long it trained."""
        return self.history[-1].seconds if self.history else 0.0


class MeanAndSpread(NamedTuple):
    """Over seeds. ``spread`` is the sample's standard deviation; None of one value, or where the mean is infinite."""

    mean: float
    spread: float | None


@dataclass(frozen=True)
class CombinationResult:
    """The runs of one combination, one for each seed.

    Attributes:
        values: What was varied, by name.
        runs: By seed.
    """

    values: dict[str, Any]
    runs: list[SweepRun]

    @property
    def num_diverged(self) -> int:
        """How many of the runs diverged; they count as infinitely perplexed."""
        return sum(run.outcome == "diverged" for run in self.runs)

    @property
    def perplexity(self) -> MeanAndSpread:
        """In training."""
        return _mean_and_spread([run.perplexity for run in self.runs])

    @property
    def validation_perplexity(self) -> MeanAndSpread | None:
        """Of the weights that the runs ended with; None where nothing was kept out."""
        return self._over_runs(lambda run: run.validation_perplexity)

    @property
    def best_validation_perplexity(self) -> MeanAndSpread | None:
        """The lowest of any epoch."""
        return self._over_runs(lambda run: run.best.validation_perplexity if run.best else None)

    @property
    def best_epoch(self) -> MeanAndSpread | None:
        """When that was."""
        return self._over_runs(lambda run: float(run.best.epoch) if run.best else None)

    @property
    def seconds(self) -> MeanAndSpread:
        """How long a run trained."""
        return _mean_and_spread([run.seconds for run in self.runs])

    def _over_runs(self, value: Callable[[SweepRun], float | None]) -> MeanAndSpread | None:
        values = [found for run in self.runs if (found := value(run)) is not None]
        return _mean_and_spread(values) if values else None


@dataclass(frozen=True)
class SweepResults:
    """All that is done of a sweep.

    Attributes:
        varied: The settings in which its runs differ, seeds apart.
        runs: Those that came to their end.
        num_missing: Runs of the plan that were not done.
        failures: Why some were not, by the names of their folders: a process that died, memory that was not there.
    """

    varied: tuple[str, ...]
    runs: list[SweepRun]
    num_missing: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    def combinations(self) -> list[CombinationResult]:
        """The best first, by validation perplexity; by training perplexity where nothing was kept out."""
        groups: dict[tuple[Any, ...], list[SweepRun]] = {}
        for run in sorted(self.runs, key=lambda run: run.recipe.training.seed):
            groups.setdefault(tuple(setting_of(run.recipe, name) for name in self.varied), []).append(run)
        results = [
            CombinationResult(dict(zip(self.varied, values, strict=True)), runs) for values, runs in groups.items()
        ]
        return sorted(results, key=lambda result: (result.validation_perplexity or result.perplexity).mean)

    def find(self, **values: Any) -> CombinationResult:
        """The combination with these values of what was varied. Raises KeyError where there is not exactly one."""
        found = [one for one in self.combinations() if values.items() <= one.values.items()]
        if len(found) != 1:
            raise KeyError(f"{len(found)} combinations have {values}")
        return found[0]


def runs_as_json_lines(results: SweepResults) -> str:
    """A line for each run: what was varied, seed, outcome, and what came of it."""
    rows = [
        {
            **{name: setting_of(run.recipe, name) for name in results.varied},
            "seed": run.recipe.training.seed,
            "outcome": run.outcome,
            "perplexity": _finite(run.perplexity),
            "validation_perplexity": _finite(run.validation_perplexity),
            "best_validation_perplexity": _finite(run.best.validation_perplexity if run.best else None),
            "best_epoch": run.best.epoch if run.best else None,
            "epochs": len(run.history),
            "seconds": run.seconds,
            "folder": f"{run.folder.parent.name}/{run.folder.name}" if run.folder else None,
        }
        for combination in results.combinations()
        for run in combination.runs
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def combinations_as_csv(results: SweepResults) -> str:
    """A row for each combination, the best first: mean and standard deviation over seeds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figures = ("validation_perplexity", "best_validation_perplexity", "best_epoch", "perplexity", "seconds")
    columns = [f"{figure}{part}" for figure in figures for part in ("", "_sd")]
    writer.writerow([*results.varied, "runs", "diverged", *columns])
    for one in results.combinations():
        pairs = [getattr(one, figure) or (None, None) for figure in figures]
        writer.writerow(
            [*one.values.values(), len(one.runs), one.num_diverged, *(part for pair in pairs for part in pair)]
        )
    return text.getvalue()


def _mean_and_spread(values: Sequence[float]) -> MeanAndSpread:
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.inf
    several = len(values) > 1 and math.isfinite(mean)
    return MeanAndSpread(mean, statistics.stdev(values) if several else None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
