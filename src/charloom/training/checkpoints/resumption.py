"""Checks before a run is resumed: the settings that may change, the text that may not, and the end of the run.

Restoring the state itself is ``Checkpoint.restore``.
"""

from dataclasses import fields

from charloom.errors import Argument, CheckpointError, Part, SettingsError, pluralize
from charloom.settings.training import WITHOUT_EFFECT, TrainingSettings
from charloom.text.corpora import Corpus
from charloom.training.checkpoints.checkpoint import Checkpoint, describe_environment

_AFFECTS_RESULTS = ("learning_rate", "clip_norm", "epochs", "patience", "keep_best")
"""Settings whose change is reported. The first two control the size of a step, which a run that diverged must lower;
the others control when the run ends, and with which weights."""
_CHANGEABLE = (*_AFFECTS_RESULTS, "device", "threads", *WITHOUT_EFFECT)
"""Settings that the contents of a checkpoint do not depend on: the position in the text, the optimizer's state and the
history stay valid. On the same kernels, ``device``, ``threads`` and WITHOUT_EFFECT do not change results."""
_NEW_RUN = ("or start a new run from this run's weights with ", Argument("init_from"))


def check_settings(checkpoint: Checkpoint, settings: TrainingSettings) -> list[str]:
    """Checks the settings to resume a run with.

    Args:
        checkpoint: Checkpoint of the run.
        settings: New settings of the training loop.

    Returns:
        Descriptions of the changes that affect the result, for messages.

    Raises:
        SettingsError: A setting was changed with which the run cannot be resumed.
    """
    changed = [
        (field.name, getattr(checkpoint.settings, field.name), getattr(settings, field.name))
        for field in fields(TrainingSettings)
        if getattr(checkpoint.settings, field.name) != getattr(settings, field.name)
    ]
    for name, before, now in changed:
        if name not in _CHANGEABLE:
            raise SettingsError(
                "the run was started ",
                *describe_former_value(name, before),
                setting=name,
                value=now,
                hint=("omit this setting, ", *_NEW_RUN),
            )
    # After the loop above, so that a setting that can never change is reported first.
    for name, before, now in changed:
        # The curve depends on the number of epochs: the steps made so far would not lie on the new one.
        if name == "epochs" and settings.schedule == "cosine":
            raise SettingsError(
                f"the cosine schedule was computed for {before} epochs, so their number cannot change",
                setting=name,
                value=now,
                hint=("omit this setting, ", *_NEW_RUN),
            )
    return [f"{name} {now} instead of {before}" for name, before, now in changed if name in _AFFECTS_RESULTS]


def describe_former_value(name: str, value: object) -> tuple[Part, ...]:
    """Returns the end of a message about a setting that was changed: "with" its former value, or "without it"."""
    return ("without it",) if value is None else ("with ", Argument(name, value))


def check_corpus(checkpoint: Checkpoint, corpus: Corpus) -> None:
    """Raises CheckpointError if the corpus is not the text of the run; the message states the difference."""
    before = checkpoint.corpus
    if corpus.fingerprint == before["sha256"]:
        return
    # Apart from its hash, the length is all that a checkpoint stores of the text.
    if len(corpus.ids) != before["num_chars"]:
        difference = f"it has {len(corpus.ids):,} tokens, not {before['num_chars']:,}"
    else:
        difference = f"it has the same number of tokens ({before['num_chars']:,}), but different ones"
    raise CheckpointError(
        f"{corpus.name}: not the text that the run was started with ({before['name']}): {difference}",
        hint=("pass that text, ", *_NEW_RUN),
    )


def describe_end(checkpoint: Checkpoint, settings: TrainingSettings) -> tuple[Part, ...] | None:
    """Returns the parts of a message if a run has nothing left to train with these settings.

    The message gives the reason and, if there is one, the option to train longer with. Returns None if epochs remain.
    """
    epochs = len(checkpoint.history)
    # Within an epoch, the weights are not the final ones: train() completes the epoch or restores those of the last.
    if checkpoint.done:
        return None
    # First: epochs may remain, but the time for them is used up.
    if checkpoint.history.reached_time_limit:
        limit = Argument("minutes", settings.minutes)
        return (
            "the run ended at its time limit (",
            limit,
            "); to train longer, start a new run with ",
            Argument("init_from"),
        )
    if epochs >= settings.epochs:
        if settings.schedule == "cosine":
            ended = f"the run ended after {pluralize(epochs, 'epoch')}, when its learning rate had reached zero"
            return f"{ended}; to train longer, start a new run with ", Argument("init_from")
        return f"the run ended after {pluralize(epochs, 'epoch')}; to train longer, add ", Argument(
            "epochs", 2 * epochs
        )
    # Patience may be set when resuming: the history then decides, although the run did not stop because of it.
    patience = settings.patience
    if patience is not None and checkpoint.history.out_of_patience(patience):
        waited = pluralize(patience, "epoch")
        reason = f"the run ended after epoch {epochs}: the validation perplexity did not improve for {waited}"
        return f"{reason}; to train longer, add ", Argument("patience", 2 * patience)
    return None


def describe_differences(checkpoint: Checkpoint) -> str:
    """Returns the versions and kernels that differ from those of the checkpoint, for a message; empty if none does."""
    here = describe_environment()
    return ", ".join(
        f"{name} {here[name]} instead of {before}"
        for name, before in checkpoint.made_with.items()
        if here[name] != before
    )
