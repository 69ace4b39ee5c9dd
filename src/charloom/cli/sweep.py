"""``charloom sweep``."""

import functools
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from charloom.cli.interruption import Interruption
from charloom.errors import SettingsError, format_value, pluralize
from charloom.settings import CorpusSettings, ModelSettings, TrainingSettings
from charloom.settings.names import Value, parse_value
from charloom.settings.recipes import Recipe
from charloom.text.named_corpora import default_recipe
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, OutputFolder, Word, settings_parameter

if TYPE_CHECKING:
    from charloom.sweeps.events import SweepEvent
    from charloom.sweeps.results import MeanAndSpread, SweepResults, SweepRun

_FORM = "the form is --vary NAME=VALUE,VALUE,..., for example --vary hidden-size=64,128"
_MAX_FAILURES = 5


def sweep(
    *corpus: Word[str],
    output: OutputFolder[Path],
    vary: Annotated[tuple[str, ...], Parameter(negative="", metavar="STR", show_default=False)] = (),
    combinations: Path | None = None,
    num_seeds: int = 1,
    jobs: int | None = None,
    keep_models: Flag = False,
    recipe: str | None = None,
    text: Annotated[CorpusSettings, settings_parameter("Text")] = CorpusSettings(),
    model: Annotated[ModelSettings, settings_parameter("Model")] = ModelSettings(),
    training: Annotated[TrainingSettings, settings_parameter("Training")] = TrainingSettings(),
) -> int:
    """Train with many combinations of settings, and compare the results.

    Each combination of the values of --vary is trained with each seed; all other settings are those of 'charloom
    train'. Ctrl-C stops the sweep; repeat the command to resume it. If you add values or seeds, only the new runs are
    trained. The output folder contains the history of each run, results.csv (one row per combination), results.jsonl
    (one line per run) and sweep.png. If no text is held out (validation fraction 0, as in the recipe 'section'), only
    training perplexities can be compared. The options for reports, samples and checkpoints are ignored: --report-every,
    --sample-every, --prefix, --sample-chars, --checkpoint-minutes, --checkpoint-steps and --keep-checkpoints.

    The defaults shown below are those of the recipe 'section', which also sets --max-chars, --lowercase and
    --collapse-whitespace; 'charloom recipes own-text' shows those for other texts.

    Parameters
    ----------
    corpus
        Text to train on, as for 'charloom train'.
    output
        Folder for the runs and the results.
    vary
        A setting and its values, such as hidden-size=64,128,256. The setting is any option of the groups Text, Model
        and Training, except --seed and those that do not affect the trained weights. Repeat --vary for several
        settings.
    combinations
        A .toml file with a [[combination]] table for each combination of settings. Each combination is trained with
        all values of --vary.
    num_seeds
        Number of runs of each combination, with consecutive seeds from --seed.
    jobs
        Number of parallel processes, each with one thread unless --threads is set. This number does not affect the
        results, except with --minutes. Default: one per CPU core (fewer with --threads), which is faster than one
        process with more threads; one on a GPU.
    keep_models
        Save the model of each run.
    recipe
        Recipe, as for 'charloom train'.
    """
    from charloom.sweeps.plan import grid, read_combinations

    fixed, requested = Recipe(text, model, training), grid(_values(vary))
    if combinations is not None:
        requested = read_combinations(combinations, requested, fixed)
    if requested == [{}] and num_seeds == 1:  # a single run, which is "charloom train"
        raise SettingsError(f"nothing is varied: pass --vary, --combinations or --num-seeds; {_FORM}")
    # Imported here, after the checks of the options: importing PyTorch takes seconds.
    from charloom.sweeps.events import SweepStarted
    from charloom.sweeps.sweep import sweep as run_sweep

    # A closed pipe must not stop a sweep of hours: the results are in the folder.
    console = screen.log()
    interruption = Interruption()
    progress = screen.work_progress(console, "run {task.fields[number]}/{task.fields[total_runs]}")
    with ExitStack() as stack:
        # The bar must be removed before an error or the results are printed.
        stack.callback(progress.stop)

        def interrupt(event: "SweepEvent") -> None:
            # Before this event there is nothing to save, and a signal ends the process.
            if isinstance(event, SweepStarted):
                stack.enter_context(interruption)
            interruption(event)

        results = run_sweep(
            # None is the default corpus, as for "charloom train".
            corpus or None,
            requested,
            fixed,
            num_seeds=num_seeds,
            output=output,
            jobs=jobs,
            keep_models=keep_models,
            # interrupt is last, since it raises StopTraining, which keeps the event from later listeners.
            listeners=[functools.partial(_show, progress, recipe or default_recipe(corpus)), interrupt],
        )
    _show_results(console, results, output)
    # A signal during the last run has no effect: all runs are complete.
    if interruption.requested and results.num_missing:
        console.print(
            f"Stopped by {interruption.requested.name}: {pluralize(results.num_missing, 'run')} left; to resume, "
            "repeat the command."
        )
        return interruption.exit_status
    return _show_failures(results.failures)


def _show_failures(failures: dict[str, str]) -> int:
    """Prints the errors of failed runs. Returns the exit status."""
    # A mistake in the settings fails in every run with the same message.
    for name, reason in list(failures.items())[:_MAX_FAILURES]:
        screen.show_error(f"{name}: {reason}")
    if failures:
        screen.show_error(f"{pluralize(len(failures), 'run')} failed; to retry, repeat the command")
        return 1
    return 0


def _values(vary: tuple[str, ...]) -> dict[str, list[Value]]:
    """Returns the values of each varied setting, parsed from the options."""
    from charloom.sweeps.plan import find_varied_setting

    values: dict[str, list[Value]] = {}
    for words in vary:
        name, _, rest = words.partition("=")
        if not rest:
            raise SettingsError(f"--vary {words}: {_FORM}")
        # find_varied_setting() makes hidden-size and hidden_size equal, so that a repetition is found.
        name = find_varied_setting(name)
        if name in values:
            raise SettingsError("is varied twice; pass all its values with a single --vary", setting=name)
        values[name] = [parse_value(name, word.strip()) for word in rest.split(",")]
    return values


def _show(progress: Progress, recipe: str, event: "SweepEvent") -> None:
    """Shows an event: a progress bar, which disappears at the end, and a line for each run."""
    from charloom.sweeps.events import RunEnded, SweepProgressed, SweepStarted

    if isinstance(event, SweepStarted):
        done = f", {event.num_done} already done" if event.num_done else ""
        parallel = f"{event.num_jobs} at a time, " if event.num_jobs > 1 else ""
        progress.console.print(
            f"sweep   recipe {recipe}, {pluralize(event.num_to_do, 'run')}{done}; {parallel}"
            f"{pluralize(event.threads, 'thread')} each"
        )
        progress.start()
        progress.add_task("", total=1.0, number=0, total_runs=event.num_to_do)
        return
    (task,) = progress.tasks
    if isinstance(event, SweepProgressed):
        progress.update(task.id, completed=event.fraction)
        return
    # Runs are numbered by their end: parallel runs do not end in the order of their start.
    number, num_to_do = task.fields["number"] + 1, task.fields["total_runs"]
    progress.update(task.id, number=number)
    what = _describe(event.run) if isinstance(event, RunEnded) else f"{event.name}: failed"
    progress.console.print(f"{number:{len(str(num_to_do))}d}/{num_to_do} {what}")


def _describe(run: "SweepRun") -> str:
    """Returns a line about a finished run."""
    name = run.folder.name.rpartition("-")[0] if run.folder else ""  # the part after the last hyphen is a hash
    if run.outcome == "diverged":
        return f"{name}: diverged after {pluralize(len(run.history), 'epoch')}"
    line = f"{name}: perplexity {run.perplexity:.3f}"
    if run.validation_perplexity is not None:
        line += f", validation {run.validation_perplexity:.3f}"
    return f"{line}, {run.seconds:.1f} s"


def _show_results(console: Console, results: "SweepResults", output: Path) -> None:
    """Prints the table of combinations, the best first."""
    combinations = results.combinations()
    # A sweep that was stopped early may have no complete run.
    if not combinations:
        return
    validated = any(one.validation_perplexity for one in combinations)
    rows = []
    for one in combinations:
        row = {name.replace("_", "-"): format_value(value) for name, value in one.values.items()}
        if validated:
            row["validation"] = _figure(one.validation_perplexity)
            row["best"] = _figure(one.best_validation_perplexity)
            row["at epoch"] = f"{one.best_epoch.mean:.0f}" if one.best_epoch else ""
        row["training"] = _figure(one.perplexity)
        row["seconds"] = f"{one.seconds.mean:.1f}"
        row["runs"] = f"{len(one.runs)}" + (f", {one.num_diverged} diverged" if one.num_diverged else "")
        rows.append(row)
    # Values of the varied settings may be strings: left-justified.
    screen.show_table(console, [*rows[0]], [[*row.values()] for row in rows], texts=range(len(results.varied)))
    notes = []
    # A single seed has no standard deviation.
    if any(one.perplexity.spread is not None for one in combinations):
        notes.append("Perplexities are means and standard deviations over seeds.")
    notes.append(
        "Best: the lowest validation perplexity of any epoch."
        if validated
        else "All perplexities are training perplexities, because no text was held out."
    )
    console.print(" ".join(notes))
    console.print(f"Saved to {screen.path_argument(output)}: results.csv, results.jsonl, sweep.png, and the runs.")


def _figure(pair: "MeanAndSpread | None") -> str:
    """Returns a mean with its standard deviation, if there are several runs."""
    if pair is None:
        return ""
    return f"{pair.mean:.3f}" + (f" ± {pair.spread:.3f}" if pair.spread is not None else "")
