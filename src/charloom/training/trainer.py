"""A training run from settings to history."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch

from charloom.batching import check_length
from charloom.device import find_device
from charloom.errors import InputError, SettingsError
from charloom.evaluation import mean_nats_in_lanes, perplexity_of
from charloom.generation import generate
from charloom.language_model import LanguageModel
from charloom.recurrence.dispatch import chosen_kernels
from charloom.recurrence.threads import use_threads
from charloom.settings.model import Precision
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus
from charloom.text.stored_ids import StoredIds
from charloom.training.events import EpochEnded, Event, Listener, SampleDrawn, StepEnded, StopTraining
from charloom.training.history import EpochRecord, History
from charloom.training.prefixes import sample_prefixes
from charloom.training.run import Run
from charloom.training.truncated_bptt import train_epoch
from charloom.version import __version__

_FINITE_CHECK_STEPS = 50
"""Looking at the loss makes a GPU wait: not at every step."""


def train(
    model: LanguageModel,
    corpus: Corpus,
    settings: TrainingSettings | None = None,
    *,
    listeners: Sequence[Listener] = (),
) -> History:
    """Trains a model in place, from the weights that it has.

    Args:
        model: Its vocabulary must be the corpus'. It is moved to the settings' device, and left in ``eval`` mode.
        corpus: The text; the validation part is its end.
        settings: The section's where None.
        listeners: Called with each event; one may raise ``StopTraining``.

    Returns the history. ``model.provenance``, which is saved with the model, has the text's fingerprint, the settings
    and the record of the epoch whose weights the model has: the last, or, with ``keep_best``, the best in validation.

    Raises SettingsError for a text shorter than a minibatch or a device that is not there; TrainingDivergedError where
    the loss is no longer finite, with the weights of the last good epoch (or the best) in the model. Warns where
    validation has risen for epochs and the model ends with the weights of the last.
    """
    settings = settings or TrainingSettings()
    if model.vocabulary != corpus.vocabulary:
        raise InputError("the corpus has another vocabulary than the model: build the model with corpus.vocabulary")
    device = check_possible(settings, len(corpus.ids))
    at = training_length(len(corpus.ids), settings)
    training_ids, validation_ids = corpus.ids.part(0, at), corpus.ids.part(at)
    prefixes = sample_prefixes(model, corpus, settings)

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    with use_threads(settings.threads), _precision(model, settings.precision), torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model.to(device).train()
        run = Run.begin(model, settings)
        try:
            _train_epochs(run, training_ids, validation_ids, prefixes, tell)
            run.end()
            if settings.sample_every and run.kept:
                _draw_samples(run, run.kept.epoch, prefixes, tell)
        except StopTraining:
            pass
        finally:
            run.end()
            model.eval()
            model.provenance = _provenance(corpus, run, prefixes)
    run.warn_of_overfitting()
    return run.history


def _train_epochs(
    run: Run, training_ids: StoredIds, validation_ids: StoredIds, prefixes: Sequence[str | bytes], tell: Listener
) -> None:
    """All epochs, or as many as patience lasts for."""
    model, settings = run.model, run.settings
    began = time.perf_counter()
    for epoch in range(1, settings.epochs + 1):
        epoch_began = time.perf_counter()
        for progress in train_epoch(model, run.optimizer, training_ids, settings, run.generator, epoch):
            if progress.done % _FINITE_CHECK_STEPS == 0 or progress.done == progress.num_batches:
                run.check_finite(float(progress.mean_loss), epoch)
            num_chars = progress.done * settings.batch_size * settings.num_steps
            speed = num_chars / (time.perf_counter() - epoch_began)
            tell(StepEnded(epoch, progress.done / progress.num_batches, progress.mean_loss, speed))
        record = EpochRecord(
            epoch,
            perplexity_of(float(progress.mean_loss)),
            _validate(model, validation_ids, settings),
            round(time.perf_counter() - began, 3),
            round(speed, 1),
        )
        run.end_epoch(record)
        tell(EpochEnded(record))
        if run.out_of_patience:
            return
        if settings.sample_every and epoch % settings.sample_every == 0 and epoch != settings.epochs:
            _draw_samples(run, epoch, prefixes, tell)


def _validate(model: LanguageModel, ids: StoredIds, settings: TrainingSettings) -> float | None:
    if not len(ids):
        return None
    num_lanes = max(1, min(settings.batch_size, (len(ids) - 1) // settings.num_steps))
    return perplexity_of(mean_nats_in_lanes(model, ids, num_lanes))


def _draw_samples(run: Run, epoch: int, prefixes: Sequence[Any], tell: Listener) -> None:
    for prefix in prefixes:
        text = generate(run.model, prefix, run.settings.sample_chars)
        tell(SampleDrawn(epoch, text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")))


def check_possible(settings: TrainingSettings, length: int) -> torch.device:
    """Raises SettingsError where a text of this length cannot be trained on so, or this machine cannot. The device."""
    check_length(training_length(length, settings), settings.batch_size, settings.num_steps)
    device = find_device(settings.device)
    processors = os.cpu_count() or 1
    if settings.threads is not None and settings.threads > processors:
        raise SettingsError(f"threads is {settings.threads}: this machine has {processors} processors")
    if settings.precision != "float32" and (device.type != "cpu" or chosen_kernels() is None):
        raise SettingsError(
            f"precision {settings.precision} is for the CPU and charloom's native kernels (charloom info): "
            "train with float32"
        )
    return device


def training_length(length: int, settings: TrainingSettings) -> int:
    """How much of a text is trained on; the rest, nothing or two characters at least, is for validation."""
    num_validation = int(length * settings.validation_fraction)
    if settings.validation_fraction and num_validation < 2:
        raise SettingsError(
            f"a validation_fraction of {settings.validation_fraction} leaves {num_validation} of {length} characters "
            "to validate on: raise it, or set it to 0"
        )
    return length - num_validation


def _provenance(corpus: Corpus, run: Run, prefixes: Sequence[str | bytes]) -> dict[str, Any]:
    texts = [prefix if isinstance(prefix, str) else prefix.decode("utf-8", "surrogateescape") for prefix in prefixes]
    return {
        "charloom": __version__,
        "corpus": {"name": corpus.name, "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)},
        "training": asdict(run.settings),
        "results": {**run.kept.to_dict(), "epochs_trained": len(run.history)} if run.kept else None,
        "prefixes": [text for text in texts if text],
    }


@contextmanager
def _precision(model: LanguageModel, precision: Precision) -> Iterator[None]:
    before = model.precision
    model.precision = precision
    try:
        yield
    finally:
        model.precision = before
