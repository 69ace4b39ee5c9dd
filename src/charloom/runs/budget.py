"""The rule that chooses settings for a text and a time: model size, minibatches, epochs and regularization.

A longer time first pays for a larger model; if the text is repeated so often that the model could memorize it, it pays
for more dropout. The constants were chosen by trials on alice29.txt (152 kB), 20 kB of it, the first 250 kB of
dorian_gray.txt, and tinyshakespeare.txt (1.1 MB); ``scripts/bench quality`` measures the results, on other texts too.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from charloom.settings.model import ModelSettings
from charloom.settings.names import Value
from charloom.settings.recipes import Recipe
from charloom_codec.cells import CELLS

NOMINAL_RATE = 5.5e11
"""Assumed operations per second of training, for choices that must not depend on the machine."""

_HIDDEN_SIZES = (32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
_TOKENS_PER_WEIGHT = 7.0
"""Tokens to train on, counted again in each epoch, for each weight of the recurrent layers. A larger model would be
left half-trained; a smaller one has learned what it can."""
_MIN_TOKENS_PER_WEIGHT = 3.0
"""The same for the maximum number of epochs, even if there is time for more: a larger model memorizes the text."""
_MINIBATCHES = ((8_000, 32, 96), (2_000, 8, 16), (500, 4, 8), (100, 2, 4), (20, 1, 4), (0, 1, 1))
"""Minimum length of the text, maximum batch size and number of steps. Large minibatches are faster, but generalize
less."""
_MIN_OPTIMIZER_STEPS = 5000
"""With fewer optimizer steps, a model is undertrained, however many tokens it sees: smaller minibatches give more."""
_MIN_MINIBATCH = 512  # tokens; smaller ones are slow
_SUFFICIENT_STEPS, _MIN_BATCH_SIZE = 64, 8
"""For the same number of tokens in a minibatch, fewer and longer sequences generalize better, up to this number of
steps, and are no slower, down to this batch size."""
_MIN_STEPS = 16  # a large batch that is given must not shorten the context that a step learns from too much
_HELD_OUT_FRACTION = 0.01
_MIN_HELD_OUT = 1000  # fewer tokens measure little, and a text of a few pages needs them for training
_SUFFICIENT_HELD_OUT = 3000  # tokens; of a longer text, half of the fraction is enough
_MAX_HELD_OUT = 200_000  # more would take time from training, and make the result no more certain
_WARMUP_SHARE = 0.05
_MAX_DROPOUT = 0.6
_MIN_WEIGHT_DECAY, _MAX_WEIGHT_DECAY = 0.05, 0.2
_MAX_EPOCHS, _MIN_MAX_EPOCHS = 60, 10
_TYPICAL_LENGTH, _TYPICAL_MAX_EPOCHS, _MAX_EPOCHS_EXPONENT = 160_000, 30, -0.22
"""Maximum number of epochs that pays: 30 for a text of 160,000 tokens, and fewer for a longer one, which
has more optimizer steps in each. A run that has reached the maximum ends before its time limit."""


@dataclass(frozen=True)
class Budget:
    """The text, the time and the machine that settings are chosen for.

    Attributes:
        num_tokens: Length of the text.
        vocabulary_size: Number of different tokens.
        seconds: Time for training.
        rate: Operations per second of training.
    """

    num_tokens: int
    vocabulary_size: int
    seconds: float
    rate: float = NOMINAL_RATE

    def tokens_to_train_on(self, model: ModelSettings) -> float:
        """Returns the number of tokens, counted again in each epoch, that the time is enough for."""
        return self.seconds * self.rate / operations_per_token(model, self.vocabulary_size)


def default_seconds(num_tokens: int) -> float:
    """Returns the time for training on a text of this length if none is given, in seconds at ``NOMINAL_RATE``."""
    # At most the time of 20 epochs of the recipe ``own-text``; enough for a text of a page, and at most half an hour.
    return min(max(10.0, 1e-4 * num_tokens), 1800.0)


def num_recurrent_weights(model: ModelSettings, vocabulary_size: int) -> int:
    """Returns the number of weights of the recurrent layers, without biases."""
    gates = next(cell.gates for cell in CELLS if cell.setting == model.cell)
    inputs = model.embedding_size or vocabulary_size
    return gates * model.hidden_size * (inputs + model.hidden_size * (2 * model.num_layers - 1))


def operations_per_token(model: ModelSettings, vocabulary_size: int) -> float:
    """Returns the multiplications and additions of a training step for each token."""
    # One-hot input is not multiplied.
    weights = num_recurrent_weights(model, vocabulary_size if model.embedding_size else 0)
    # Two for each weight, and the backward pass has twice the arithmetic of the forward pass.
    return 6.0 * (weights + model.hidden_size * vocabulary_size)


def choose_settings(budget: Budget, recipe: Recipe, given: Collection[str], *, timed: bool) -> dict[str, Value]:
    """Returns settings by name, all that the rule chooses and that are not given.

    Args:
        budget: Text, time and machine.
        recipe: Settings, of which the given ones and those that the rule does not choose apply.
        given: Names of the settings that are given.
        timed: True if the run ends by the clock; its number of epochs is then a limit that it should not reach.
    """
    chosen: dict[str, Value] = {}

    def choose(**values: Value) -> None:
        nonlocal recipe
        new = {name: value for name, value in values.items() if name not in given}
        chosen.update(new)
        recipe = recipe.with_changes(new)

    choose(validation_fraction=_held_out_fraction(budget.num_tokens, recipe))
    if recipe.training.validation_fraction and recipe.training.patience is None:
        # The end of a log may differ from the rest; a model of fewer epochs then predicts it better.
        choose(keep_best=True)
    num_trained = max(1.0, budget.num_tokens * (1 - recipe.training.validation_fraction))
    model = _largest_model(budget, recipe.model, given)
    choose(hidden_size=model.hidden_size, embedding_size=model.embedding_size)
    max_epochs = _suitable_max_epochs(budget.num_tokens)
    epochs = min(budget.tokens_to_train_on(recipe.model) / num_trained, max_epochs)
    if "epochs" in given:
        epochs = min(epochs, recipe.training.epochs) if timed else float(recipe.training.epochs)
    choose(**_minibatches(recipe, given, num_trained, epochs))
    # Twice as many, if the clock ends the run: the speed was measured for seconds only.
    choose(epochs=max(1, min(max_epochs, math.ceil(2 * epochs) if timed else round(epochs))))
    weights = num_recurrent_weights(recipe.model, budget.vocabulary_size)
    choose(dropout=_suitable_dropout(epochs * weights / num_trained, recipe.model.hidden_size))
    if recipe.training.optimizer == "adamw":
        choose(weight_decay=_suitable_weight_decay(budget.num_tokens))
    # Larger models need smaller steps. Plain gradient descent has no such scale: its rate is that of ``section``.
    adaptive = round(0.004 * min(1.0, (512 / recipe.model.hidden_size) ** 0.5), 5)
    choose(learning_rate=adaptive if recipe.training.optimizer == "adamw" else 1.0)
    choose(warmup_epochs=round(_WARMUP_SHARE * epochs, 4))
    choose(report_every=max(1, round(epochs / 20)), sample_every=max(1, round(epochs / 4)))
    return chosen


def _held_out_fraction(num_tokens: int, recipe: Recipe) -> float:
    """Returns the fraction of the text for validation; 0 if it would be too short to measure anything."""
    if recipe.training.patience is not None or recipe.training.keep_best:
        return 0.1  # validation was asked for, whatever it costs
    if num_tokens * _HELD_OUT_FRACTION < _MIN_HELD_OUT:
        return 0.0
    # The end of a text is useful for training, because what is predicted later continues it.
    num_held_out = min(
        _HELD_OUT_FRACTION * num_tokens, max(_SUFFICIENT_HELD_OUT, 0.5 * _HELD_OUT_FRACTION * num_tokens)
    )
    return min(num_held_out, _MAX_HELD_OUT) / num_tokens


def _minibatches(recipe: Recipe, given: Collection[str], num_trained: float, epochs: float) -> dict[str, Value]:
    """Returns the batch size and the number of steps for a text of this length and a number of epochs."""
    training = recipe.training
    tokens = max(_MIN_MINIBATCH, epochs * num_trained / _MIN_OPTIMIZER_STEPS)
    batch_size = num_steps = 1
    for min_length, max_size, max_steps in _MINIBATCHES:
        batch_size = training.batch_size if "batch_size" in given else max_size
        parts = training.gradient_accumulation_steps
        while "batch_size" not in given and batch_size > _MIN_BATCH_SIZE:
            if tokens >= batch_size * parts * _SUFFICIENT_STEPS:
                break
            batch_size //= 2
        rows = batch_size * parts
        num_steps = min(max_steps, max(_MIN_STEPS, int(tokens / rows) // 8 * 8))
        if "num_steps" in given:
            num_steps = training.num_steps
        # The second condition matters if one of the two is given.
        if num_trained >= min_length and rows * num_steps * 4 < num_trained:
            break
    return {"batch_size": batch_size, "num_steps": num_steps}


def _largest_model(budget: Budget, model: ModelSettings, given: Collection[str]) -> ModelSettings:
    """Returns the settings of the largest model that time and text are enough for; the smallest if there is none."""
    candidates = list(_candidates(model, given))
    fitting = candidates[:1]
    most_tokens = _suitable_max_epochs(budget.num_tokens) * budget.num_tokens
    for candidate in candidates:
        weights = num_recurrent_weights(candidate, budget.vocabulary_size)
        enough_time = budget.tokens_to_train_on(candidate) >= _TOKENS_PER_WEIGHT * weights
        if enough_time and _MIN_TOKENS_PER_WEIGHT * weights <= most_tokens:
            fitting.append(candidate)
    return fitting[-1]


def _candidates(model: ModelSettings, given: Collection[str]) -> Iterator[ModelSettings]:
    """Yields settings of models in order of size."""
    if model.tied_output:  # whose two sizes are equal, and therefore set by the caller
        yield model
        return
    for hidden_size in (model.hidden_size,) if "hidden_size" in given else _HIDDEN_SIZES:
        chosen = 64 if hidden_size < 256 else 128
        embedding_size = model.embedding_size if "embedding_size" in given else chosen
        yield replace(model, hidden_size=hidden_size, embedding_size=embedding_size)


def _suitable_max_epochs(num_tokens: int) -> int:
    """Returns the number of epochs from which on a model of this text only memorizes more of it."""
    suitable = _TYPICAL_MAX_EPOCHS * math.pow(num_tokens / _TYPICAL_LENGTH, _MAX_EPOCHS_EXPONENT)
    return min(_MAX_EPOCHS, max(_MIN_MAX_EPOCHS, round(suitable)))


def _suitable_dropout(capacity: float, hidden_size: int) -> float:
    """Returns the dropout for a model.

    Args:
        capacity: Number of epochs, times the number of weights for each token of the text.
        hidden_size: Number of units.
    """
    # It pays against memorizing only, which takes repetitions and weights. A small model needs all its units.
    suitable = (0.33 * math.log10(max(1.0, capacity)) - 0.2) * min(1.0, math.sqrt(hidden_size / 256))
    return round(min(_MAX_DROPOUT, max(0.0, suitable)), 2)


def _suitable_weight_decay(num_tokens: int) -> float:
    """Returns the weight decay for a length of the text; in a short one, dropout alone is better against memorizing."""
    return round(min(_MAX_WEIGHT_DECAY, max(_MIN_WEIGHT_DECAY, 2e-7 * num_tokens)), 3)
