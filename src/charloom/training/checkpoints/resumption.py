"""Resuming from a checkpoint: the settings that may be changed, the text that may not, the end of a run."""

from dataclasses import fields

from charloom.errors import Argument, CheckpointError, Part, SettingsError
from charloom.settings.training import WITHOUT_EFFECT, TrainingSettings
from charloom.text.corpora import Corpus
from charloom.training.checkpoints.checkpoint import Checkpoint, made_with

_CHANGES_THE_RUN = ("learning_rate", "clip_norm", "epochs", "patience", "keep_best")
"""The step, of which a run that diverged needs a smaller one to go on; the end, and which weights it is made with."""
_MAY_CHANGE = (*_CHANGES_THE_RUN, "device", "threads", *WITHOUT_EFFECT)
"""Settings on which nothing depends that the checkpoint holds: neither the position in the text, nor the optimizer's
state, nor what was measured so far; results are the same on the same kernels."""
_NEW_RUN = ("or start a new run from this one's weights with ", Argument("init_from"))


def check_settings(checkpoint: Checkpoint, settings: TrainingSettings) -> list[str]:
    """Raises SettingsError for settings that a run cannot continue with; returns the changes worth telling."""
    changed = [
        (field.name, getattr(checkpoint.settings, field.name), getattr(settings, field.name))
        for field in fields(TrainingSettings)
        if getattr(checkpoint.settings, field.name) != getattr(settings, field.name)
    ]
    for name, before, now in changed:
        if name not in _MAY_CHANGE:
            raise SettingsError(
                f"the run was started with {before!r}", setting=name, value=now, hint=("leave it out, ", *_NEW_RUN)
            )
    for name, before, now in changed:
        if name == "epochs" and settings.schedule == "cosine":
            raise SettingsError(
                f"the step size has been falling towards its end after {before} (schedule cosine)",
                setting=name,
                value=now,
                hint=("leave it out, ", *_NEW_RUN),
            )
    return [f"{name} {now} instead of {before}" for name, before, now in changed if name in _CHANGES_THE_RUN]


def check_corpus(checkpoint: Checkpoint, corpus: Corpus) -> None:
    """Raises CheckpointError for another text than the run's, and says what differs."""
    before = checkpoint.corpus
    if corpus.fingerprint == before["sha256"]:
        return
    if len(corpus.ids) != before["num_chars"]:
        difference = f"it has {len(corpus.ids):,} tokens, not {before['num_chars']:,}"
    else:
        difference = f"it has as many tokens, {before['num_chars']:,}, but others"
    raise CheckpointError(
        f"{corpus.name}: not the text that the run was started with ({before['name']}): {difference}",
        hint=("name the right one, ", *_NEW_RUN),
    )


def describe_end(checkpoint: Checkpoint, settings: TrainingSettings) -> tuple[Part, ...] | None:
    """The reason why the run is at its end under these settings, and how to train longer. None if it is not."""
    epochs = len(checkpoint.history)
    if checkpoint.done:
        return None
    if epochs >= settings.epochs:
        if settings.schedule == "cosine":
            return (f"the run ended after {epochs} epochs, its step size at nothing; begin another from it",)
        return f"the run ended after {epochs} epochs; to train longer, add ", Argument("epochs", 2 * epochs)
    patience = settings.patience
    if patience is not None and checkpoint.history.out_of_patience(patience):
        reason = f"the run ended after epoch {epochs}: validation was no better for {patience} epochs"
        return f"{reason}; to train longer, add ", Argument("patience", 2 * patience)
    return None


def differences(checkpoint: Checkpoint) -> str:
    """The versions and kernels here that are others than those the run was started with; empty if none is."""
    here = made_with()
    return ", ".join(
        f"{name} {here[name]} instead of {before}"
        for name, before in checkpoint.made_with.items()
        if here[name] != before
    )
