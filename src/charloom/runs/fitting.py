"""The recipe ``auto`` made concrete: settings for the text, the time and this machine, when a run starts."""

import math
import time
from dataclasses import replace
from types import NoneType

from charloom.errors import pluralize
from charloom.runs.budget import NOMINAL_RATE, Budget, choose_settings, default_seconds, operations_per_token
from charloom.runs.speed import find_fastest_precision, measure_rate
from charloom.settings.recipes import AUTO, Recipe, load_recipe
from charloom.text.corpora import Corpus
from charloom.training.processes import Processes
from charloom_codec.arguments import check_type

_MEASURED_SHARE = 0.02  # of the time, for each measurement of the speed
_MAX_MEASURED_SECONDS = 0.75
_USABLE_SHARE = 0.93
"""Share of a time limit that is left for training steps: the rest is for the start, validation and saving."""
_WORTH_MEASURING_SECONDS = 10.0  # of training; in a shorter run, the choice of a precision saves nothing
_MAX_DEFAULT_MINUTES = 30.0


def fit_recipe(
    corpus: Corpus,
    recipe: Recipe | None = None,
    *,
    processes: Processes | None = None,
    started_at: float | None = None,
) -> Recipe:
    """Chooses the settings of the recipe ``auto`` for a text, except those that were given.

    For example, ``fit_recipe(corpus, load_recipe("auto").with_changes({"minutes": 10}))``.

    With a time limit, the choice depends on the speed of this machine, which is measured. Without one, it depends on
    the text alone, so that the same text gives the same model; only the precision is the faster one.

    Args:
        corpus: The text.
        recipe: A recipe, which is returned as it is unless it is ``auto``; None for ``auto``.
        processes: Process group of the run; several processes measure nothing.
        started_at: Start of the run by ``time.perf_counter``, from which a time limit counts; None for now.

    Returns:
        The recipe with all settings; its ``reasons`` describe them.
    """
    check_type(Corpus, corpus=corpus)
    check_type((Recipe, NoneType), recipe=recipe)
    recipe = load_recipe(AUTO) if recipe is None else recipe
    if recipe.name != AUTO:
        return recipe
    return _fit(corpus, recipe, processes or Processes(), time.perf_counter() if started_at is None else started_at)


def given_settings(recipe: Recipe) -> frozenset[str]:
    """Returns the names of the settings of a recipe ``auto`` that the caller has set."""
    # Also those that ``dataclasses.replace`` has changed, which does not record it.
    own = load_recipe(AUTO).values
    return recipe.given | {name for name, value in recipe.values.items() if value != own[name]}


def _fit(corpus: Corpus, recipe: Recipe, processes: Processes, started_at: float) -> Recipe:
    given, minutes, alone = given_settings(recipe), recipe.training.minutes, processes.size == 1
    num_tokens, vocabulary = len(corpus.ids), corpus.vocabulary
    seconds = default_seconds(num_tokens)
    if minutes is not None:
        seconds = max(1.0, _USABLE_SHARE * 60 * minutes - (time.perf_counter() - started_at))
    budget = Budget(num_tokens, len(vocabulary), seconds)
    timed = minutes is not None

    def choose() -> Recipe:
        chosen = choose_settings(budget, recipe, given, timed=timed)
        if "batch_size" in chosen:
            # Each process gets the same number of sequences.
            batch_size = recipe.with_changes(chosen).training.batch_size
            chosen["batch_size"] = math.ceil(batch_size / processes.size) * processes.size
        return replace(recipe.with_changes(chosen), given=given)

    fitted = choose()
    if not timed and "epochs" not in given and _work(fitted, budget) > 1.5 * seconds * NOMINAL_RATE:
        # Not even one epoch of a long text fits: the clock ends it.
        timed, recipe = True, replace(recipe.with_changes({"minutes": _MAX_DEFAULT_MINUTES}), given=given)
        fitted = choose()
    measured = min(_MAX_MEASURED_SECONDS, _MEASURED_SHARE * seconds)
    rate = None
    if alone and "precision" not in given and _work(fitted, budget) > _WORTH_MEASURING_SECONDS * NOMINAL_RATE:
        precision, rate = find_fastest_precision(vocabulary, fitted.model, fitted.training, measured)
        recipe = replace(recipe.with_changes({"precision": precision}), given=given)
    if alone and timed:
        # A second time with the size that the first measurement suggests: the rate depends on it.
        for _ in range(2):
            budget = replace(budget, rate=rate or budget.rate)
            fitted = choose()
            rate = measure_rate(vocabulary, fitted.model, fitted.training, measured)
        budget = replace(budget, rate=rate or budget.rate)
    fitted = choose()
    # Without the name: for another text, the settings would have to be chosen again from those that were given.
    return replace(fitted, name="", reasons=_describe(fitted, budget, rate))


def _work(recipe: Recipe, budget: Budget) -> float:
    """Returns the operations of all epochs."""
    tokens = recipe.training.epochs * budget.num_tokens * (1 - recipe.training.validation_fraction)
    return tokens * operations_per_token(recipe.model, budget.vocabulary_size)


def _describe(recipe: Recipe, budget: Budget, rate: float | None) -> str:
    """Describes what was chosen and why, in one line."""
    training, model = recipe.training, recipe.model
    reasons = [f"settings for {pluralize(budget.num_tokens, 'token')}"]
    if training.minutes is not None:
        reasons.append(f"in {training.minutes:g} min")
    if rate is not None:
        speed = rate / operations_per_token(model, budget.vocabulary_size)
        reasons.append(f"at {float(f'{speed:.2g}'):,.0f} tokens/s")
    values = [
        f"batch size {training.batch_size}",
        f"{pluralize(training.num_steps, 'step')}",
        f"learning rate {training.learning_rate:g}",
        f"dropout {model.dropout:g}",
        training.precision,
    ]
    if not training.validation_fraction and "validation_fraction" not in recipe.given:
        values.append("nothing held out (too short)")
    expected = ""
    if rate is not None and training.minutes is None:
        expected = f", about {math.ceil(_work(recipe, budget) / rate)} s"
    return f"{' '.join(reasons)}{expected}: {', '.join(values)}"
