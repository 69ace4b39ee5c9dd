"""``charloom sweep``."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Console

from charloom.cli import screen
from charloom.cli.interruption import Interruption
from charloom.cli.options import Flag, OutputFolder, Word
from charloom.errors import SettingsError, worded
from charloom.settings import CorpusSettings, ModelSettings, TrainingSettings
from charloom.settings.names import as_word, find_setting
from charloom.settings.recipes import Recipe, as_key, parse_toml
from charloom.text.named_corpora import usual_recipe

if TYPE_CHECKING:
    from charloom.sweeps.events import SweepEvent
    from charloom.sweeps.results import CombinationResult, MeanAndSpread, SweepResults, SweepRun

_FORM = "it is written --vary NAME=VALUE,VALUE,..., as in --vary hidden-size=64,128"
_MOST_FAILURES = 5


def sweep(
    *corpus: Word[str],
    output: OutputFolder[Path],
    vary: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    combinations: Path | None = None,
    num_seeds: int = 1,
    jobs: int | None = None,
    keep_models: Flag = False,
    recipe: str | None = None,
    text: Annotated[CorpusSettings, Parameter(name="*", group=Group("Text"))] = CorpusSettings(),
    model: Annotated[ModelSettings, Parameter(name="*", group=Group("Model"))] = ModelSettings(),
    training: Annotated[TrainingSettings, Parameter(name="*", group=Group("Training"))] = TrainingSettings(),
) -> int:
    """Train under many settings, and compare.

    Every combination of the values given with --vary is trained with each seed; all other settings are those of
    'charloom train'. Ctrl-C stops; the same command goes on where it stopped, and one with more values or seeds does
    what is new. The folder has every run's history, results.csv (the table), results.jsonl (a line a run) and
    sweep.png. Without --validation-fraction only what was learnt by heart can be compared.

    The defaults shown below are those of the textbook's recipe; 'charloom recipes own-text' shows what a text of your
    own is trained with.

    Parameters
    ----------
    corpus
        What to train on, as for 'charloom train'.
    output
        Folder for the runs and the results.
    vary
        A setting and its values, as hidden-size=64,128,256: any option of the groups Text, Model and Training but the
        seed (the option is repeated for each).
    combinations
        A .toml file of combinations, each a table [[combination]] of settings; with --vary, each is run with every
        combination of its values.
    num_seeds
        Runs of each combination, with --seed and the numbers after it.
    jobs
        Processes side by side, each of one thread unless --threads says otherwise; results do not depend on it.
        Default: one for each processor, which is faster than more threads for one; on a GPU one.
    keep_models
        Keep each run's model.
    recipe
        As for 'charloom train'.
    """
    fixed = Recipe(text, model, training)
    asked = _combinations(vary, combinations, fixed)
    if asked == [{}] and num_seeds == 1:
        raise SettingsError(f"nothing is varied: give --vary, --combinations or --num-seeds; {_FORM}")
    from charloom.sweeps.events import SweepBegan
    from charloom.sweeps.sweep import sweep as run_sweep

    console = screen.log()
    interruption = Interruption()
    with ExitStack() as stack, _Display(console, recipe or usual_recipe(corpus)) as display:

        def interrupt(event: "SweepEvent") -> None:
            if isinstance(event, SweepBegan):  # before it a signal ends the process: nothing is there to save
                stack.enter_context(interruption)
            interruption(event)

        results = run_sweep(
            corpus or None,
            asked,
            fixed,
            num_seeds=num_seeds,
            output=output,
            jobs=jobs,
            keep_models=keep_models,
            listeners=[display, interrupt],
        )
    _show_results(console, results, output)
    if interruption.requested and results.num_missing:
        console.print(
            f"Stopped by {interruption.requested.name}: {results.num_missing} runs are still to do; "
            "the same command goes on."
        )
        return interruption.exit_status
    for name, reason in list(results.failures.items())[:_MOST_FAILURES]:
        screen.show_error(f"{name}: {reason}")
    if results.failures:
        screen.show_error(f"{len(results.failures)} runs failed; the same command tries them again")
        return 1
    return 0


def _combinations(vary: tuple[str, ...], listed_in: Path | None, fixed: Recipe) -> list[dict[str, Any]]:
    """The combinations to run with, their values read from words of the command line or from a file."""
    from charloom.sweeps.plan import grid, listed

    values: dict[str, list[Any]] = {}
    for words in vary:
        name, equals, rest = words.partition("=")
        if not equals or not rest:
            raise SettingsError(f"--vary {words}: {_FORM}")
        setting = find_setting(name)
        if setting.name in values:
            raise SettingsError("is varied twice: give all its values at once", setting=setting.name)
        values[setting.name] = [setting.parse(word.strip()) for word in rest.split(",")]
    every = grid(values)
    if listed_in is None:
        return every
    combinations = []
    for number, settings in enumerate(_read_list(listed_in), 1):
        place = f"{listed_in}: combination {number}: "
        try:
            (one,) = listed([settings])
        except SettingsError as error:
            raise SettingsError(place, worded(error.parts, as_key)) from error
        for more in every:
            combinations.append(one | more)
            try:
                fixed.with_changes(one | more)
            except SettingsError as error:
                if error.setting in one:  # else an option is wrong
                    raise SettingsError(place, worded(error.parts, as_key)) from error
    return combinations


def _read_list(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    data = parse_toml(text, str(file))
    found = data.get("combination")
    tables = found if isinstance(found, list) and all(isinstance(one, dict) for one in found) else []
    if list(data) != ["combination"] or not tables:
        raise SettingsError(f"{file}: it must be made of tables [[combination]], each with settings to run with")
    return tables


class _Display:
    """A listener that shows. The bar is there on a terminal only, and gone at the end; the lines stay."""

    def __init__(self, console: Console, recipe: str) -> None:
        self._recipe = recipe
        self._num_done = self._num_to_do = 0
        self._progress = screen.work_progress(console, "run {task.fields[number]}/{task.fields[total_runs]}")
        self._task = self._progress.add_task("", total=1.0, number=0, total_runs=0)

    def __enter__(self) -> "_Display":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: "SweepEvent") -> None:
        """Shows one event."""
        from charloom.sweeps.events import RunEnded, RunFailed, SweepBegan, SweepProgressed

        if isinstance(event, SweepBegan):
            self._num_to_do = event.num_to_do
            done = f", {event.num_done} done before" if event.num_done else ""
            side_by_side = f"{event.num_jobs} at a time, " if event.num_jobs > 1 else ""
            threads = f"{event.threads} thread{'s' if event.threads > 1 else ''} each"
            self._progress.console.print(
                f"sweep   recipe {self._recipe}, {event.num_to_do} runs to do{done}; {side_by_side}{threads}"
            )
            self._progress.start()
        elif isinstance(event, SweepProgressed):
            self._progress.update(
                self._task, completed=event.fraction, number=self._num_done, total_runs=self._num_to_do
            )
        elif isinstance(event, RunEnded):
            self._num_done += 1
            self._progress.console.print(f"{self._number()} {_describe(event.run)}")
        elif isinstance(event, RunFailed):
            self._num_done += 1
            self._progress.console.print(f"{self._number()} {event.name}: failed")

    def _number(self) -> str:
        return f"{self._num_done:{len(str(self._num_to_do))}d}/{self._num_to_do}"


def _describe(run: "SweepRun") -> str:
    name = run.folder.name.rpartition("-")[0] if run.folder else ""
    if run.outcome == "diverged":
        return f"{name}: diverged after {len(run.history)} epochs"
    line = f"{name}: perplexity {run.perplexity:.3f}"
    if run.validation_perplexity is not None:
        line += f", validation {run.validation_perplexity:.3f}"
    return f"{line}, {run.seconds:.1f} s"


def _show_results(console: Console, results: "SweepResults", output: Path) -> None:
    """The table, the best first."""
    combinations = results.combinations()
    if not combinations:
        return
    validated = any(one.validation_perplexity for one in combinations)
    varied = [name.replace("_", "-") for name in results.varied]
    figures = [*(["validation", "best", "at epoch"] if validated else []), "training", "seconds", "runs"]
    rows = [(*map(as_word, one.values.values()), *_cells(one, validated)) for one in combinations]
    screen.show_table(console, [*varied, *figures], rows, texts=range(len(varied)))
    console.print(
        "Perplexities are means over seeds and their standard deviation"
        + ("; best: the lowest of any epoch." if validated else "; no text is kept out to validate on.")
    )
    folder = shlex.quote(str(output))
    console.print(f"In {folder}: results.csv, results.jsonl, sweep.png, and runs with their histories.")


def _cells(one: "CombinationResult", validated: bool) -> list[str]:
    cells = []
    if validated:
        epoch = one.best_epoch
        cells = [
            _figure(one.validation_perplexity),
            _figure(one.best_validation_perplexity),
            f"{epoch.mean:.0f}" if epoch else "",
        ]
    runs = f"{len(one.runs)}" + (f", {one.num_diverged} diverged" if one.num_diverged else "")
    return [*cells, _figure(one.perplexity), f"{one.seconds.mean:.1f}", runs]


def _figure(pair: "MeanAndSpread | None") -> str:
    if pair is None:
        return ""
    return f"{pair.mean:.3f}" + (f" ± {pair.spread:.3f}" if pair.spread is not None else "")
