"""A training run from settings to history."""

import math
import os
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch

from charloom.batching import check_length
from charloom.device import find_device
from charloom.errors import CharloomWarning, InputError, SettingsError, TrainingDivergedError, UnknownCharacterError
from charloom.evaluation import mean_nats_in_lanes, perplexity_of
from charloom.generation import generate
from charloom.language_model import LanguageModel
from charloom.recurrence.dispatch import chosen_kernels
from charloom.recurrence.threads import use_threads
from charloom.settings.model import Precision
from charloom.settings.training import TrainingSettings
from charloom.text.clean_up import AnyText
from charloom.text.corpora import Corpus
from charloom.text.stored_ids import StoredIds
from charloom.training.events import EpochEnded, Event, Listener, SampleDrawn, StepEnded, StopTraining
from charloom.training.history import EpochRecord, History
from charloom.training.truncated_bptt import train_epoch
from charloom.version import __version__

_PREFIX_CHARS = 20
"""How much of the text's beginning the samples go on from where no prefix is given."""
_LOOKED_AT = 1 << 20
"""Characters that the beginning is looked for in."""
_READABLE = re.compile(rb"[ -~]{4,%d}" % _PREFIX_CHARS)
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

    Returns the history; ``model.provenance`` says the same, with the text's fingerprint, in the saved model.

    Raises SettingsError for a text shorter than a minibatch or a device that is not there; TrainingDivergedError where
    the loss is no longer finite, with the weights of the last good epoch in the model.
    """
    settings = settings or TrainingSettings()
    if model.vocabulary != corpus.vocabulary:
        raise InputError("the corpus has another vocabulary than the model: build the model with corpus.vocabulary")
    at = training_length(len(corpus.ids), settings)
    training_ids, validation_ids = corpus.ids.part(0, at), corpus.ids.part(at)
    check_length(len(training_ids), settings.batch_size, settings.num_steps)
    prefixes = _sample_prefixes(model, corpus, settings)
    device = find_device(settings.device)
    history = History()

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    _check_threads(settings.threads)
    if settings.precision != "float32" and (device.type != "cpu" or chosen_kernels() is None):
        raise SettingsError(
            f"precision {settings.precision} is for the CPU and charloom's native kernels (charloom info): "
            "train with float32"
        )
    with use_threads(settings.threads), _precision(model, settings.precision), torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model.to(device).train()
        try:
            _run(model, training_ids, validation_ids, settings, history, prefixes, tell)
        except StopTraining:
            pass
        finally:
            model.eval()
            model.provenance = _provenance(corpus, settings, history, prefixes)
    return history


def _run(
    model: LanguageModel,
    training_ids: StoredIds,
    validation_ids: StoredIds,
    settings: TrainingSettings,
    history: History,
    prefixes: Sequence[Any],
    tell: Listener,
) -> None:
    optimizer = _make_optimizer(model, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    began = time.perf_counter()
    last_good = _copy_weights(model)
    for epoch in range(1, settings.epochs + 1):
        epoch_began = time.perf_counter()
        for progress in train_epoch(model, optimizer, training_ids, settings, generator, epoch):
            if progress.done % _FINITE_CHECK_STEPS == 0 or progress.done == progress.num_batches:
                _check_finite(model, float(progress.mean_loss), epoch, last_good)
            num_chars = progress.done * settings.batch_size * settings.num_steps
            speed = num_chars / (time.perf_counter() - epoch_began)
            tell(StepEnded(epoch, progress.done / progress.num_batches, progress.mean_loss, speed))
        validation_perplexity = None
        if len(validation_ids):
            num_lanes = max(1, min(settings.batch_size, (len(validation_ids) - 1) // settings.num_steps))
            validation_perplexity = perplexity_of(mean_nats_in_lanes(model, validation_ids, num_lanes))
        record = EpochRecord(
            epoch,
            perplexity_of(float(progress.mean_loss)),
            validation_perplexity,
            round(time.perf_counter() - began, 3),
            round(speed, 1),
        )
        history.records.append(record)
        last_good = _copy_weights(model)
        tell(EpochEnded(record))
        if settings.sample_every and (epoch % settings.sample_every == 0 or epoch == settings.epochs):
            for prefix in prefixes:
                text = generate(model, prefix, settings.sample_chars)
                tell(SampleDrawn(epoch, text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")))


def _make_optimizer(model: LanguageModel, settings: TrainingSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
    return torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)


def _copy_weights(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _check_finite(model: LanguageModel, loss: float, epoch: int, last_good: dict[str, torch.Tensor]) -> None:
    if not math.isfinite(loss):
        model.load_state_dict(last_good)
        raise TrainingDivergedError(
            f"the loss is {loss} in epoch {epoch}: lower learning_rate or clip_norm; the model is as it was "
            f"after epoch {epoch - 1}"
        )


def training_length(length: int, settings: TrainingSettings) -> int:
    """How much of a text is trained on; the rest, nothing or two characters at least, is for validation."""
    num_validation = int(length * settings.validation_fraction)
    if settings.validation_fraction and num_validation < 2:
        raise SettingsError(
            f"a validation_fraction of {settings.validation_fraction} leaves {num_validation} of {length} characters "
            "to validate on: raise it, or set it to 0"
        )
    return length - num_validation


def _sample_prefixes(model: LanguageModel, corpus: Corpus, settings: TrainingSettings) -> list[str | bytes]:
    """The prefixes the model can read; the beginning of the text where there are none."""
    known: list[str | bytes] = []
    for prefix in settings.prefixes:
        try:
            model.vocabulary.encode(prefix)
            known.append(prefix)
        except UnknownCharacterError as error:
            reason = str(error).partition("; unknown=")[0]
            warnings.warn(f"no samples for the prefix {prefix!r}: {reason}", CharloomWarning, stacklevel=3)
    return known or [_beginning(corpus.vocabulary.decode(corpus.ids[:_LOOKED_AT]))]


def _beginning(text: AnyText) -> AnyText:
    """The first line with something on it, cut short; of bytes that are no text, the first word that can be read."""
    whole: Any = text
    first_line: Any = next(iter(whole.strip().splitlines()), whole)[:_PREFIX_CHARS]
    if isinstance(text, bytes):
        readable = first_line.decode("utf-8", "ignore").encode()
        whole_but_for_a_cut_character = first_line.startswith(readable) and len(first_line) - len(readable) < 4
        if readable and whole_but_for_a_cut_character and readable.decode().isprintable():
            first_line = readable
        elif word := _READABLE.search(text):
            first_line = word[0]
    beginning: AnyText = first_line
    return beginning


def _provenance(
    corpus: Corpus, settings: TrainingSettings, history: History, prefixes: Sequence[str | bytes]
) -> dict[str, Any]:
    texts = [prefix if isinstance(prefix, str) else prefix.decode("utf-8", "surrogateescape") for prefix in prefixes]
    return {
        "charloom": __version__,
        "corpus": {"name": corpus.name, "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)},
        "training": asdict(settings),
        "results": history[-1].to_dict() if history else None,
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


def _check_threads(number: int | None) -> None:
    processors = os.cpu_count() or 1
    if number is not None and number > processors:
        raise SettingsError(f"threads is {number}: this machine has {processors} processors")
