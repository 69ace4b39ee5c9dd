"""A training run from settings to history."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from types import NoneType
from typing import Any

import torch

from charloom.arguments import check_listeners, check_type
from charloom.errors import InputError, SettingsError, TrainingDivergedError
from charloom.inference.evaluation import nats_in_lanes, perplexity_of
from charloom.inference.generation import generate
from charloom.models.device import find_device
from charloom.models.language_model import LanguageModel
from charloom.recurrence.backend import backend
from charloom.recurrence.threads import use_threads
from charloom.settings.model import Precision
from charloom.settings.sampling import USUAL_TEMPERATURE, SamplingSettings
from charloom.settings.training import TrainingSettings
from charloom.text.batching import check_length
from charloom.text.corpora import Corpus
from charloom.text.stored_ids import StoredIds
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import CheckpointFolder
from charloom.training.checkpoints.resumption import check_corpus, check_settings
from charloom.training.checkpoints.shared import SharedCheckpoints
from charloom.training.events import (
    Announcer,
    EpochEnded,
    Listener,
    SampleDrawn,
    StepEnded,
    StopTraining,
    ValidationAdvanced,
)
from charloom.training.history import EpochRecord, History
from charloom.training.optimization import check_trainable
from charloom.training.prefixes import sample_prefixes
from charloom.training.processes import Processes
from charloom.training.shared_gradients import Wishes, make_learner
from charloom.training.state import TrainingState
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
    checkpoints: CheckpointFolder | None = None,
    resume: Checkpoint | None = None,
    processes: Processes | None = None,
) -> History:
    """Trains a model in place, from the weights that it has.

    Args:
        model: Its vocabulary must be the corpus'. It is moved to the settings' device, and left in ``eval`` mode.
        corpus: The text; the validation part is its end.
        settings: The section's where None; the checkpoint's where one is resumed.
        listeners: Called with each event; one may raise ``StopTraining``.
        checkpoints: Where to write checkpoints, as often as the settings say; None for nowhere.
        resume: Go on from here: the weights come from it (``checkpoint.make_model()`` is a model for them), and the run
            ends as if it had never been interrupted, to the last bit on the same machine.
        processes: Who trains, where several do, each with the same model, text and settings (``joined_processes``).

    Returns the history. ``model.provenance``, which is saved with the model, has the text's fingerprint, the settings
    and the record of the epoch whose weights the model has: the last, or, with ``keep_best``, the best in validation.

    Raises SettingsError for a text shorter than a minibatch or a device that is not there; TrainingDivergedError where
    the loss is no longer finite, with the weights of the last good epoch (or the best) in the model; CheckpointError
    for a text or settings that a checkpoint cannot go on with. Warns where validation has risen for epochs and the
    model is to end with the weights of the last.
    """
    check_type(LanguageModel, model=model)
    check_type(Corpus, corpus=corpus)
    check_type((TrainingSettings, NoneType), settings=settings)
    check_listeners(listeners)
    check_type((CheckpointFolder, NoneType), checkpoints=checkpoints)
    check_type((Checkpoint, NoneType), resume=resume)
    check_type((Processes, NoneType), processes=processes)
    settings = settings or (resume.settings if resume else TrainingSettings())
    processes = processes or Processes()
    processes.check(settings)
    if model.vocabulary != corpus.vocabulary:
        raise InputError("the corpus has another vocabulary than the model: build the model with corpus.vocabulary")
    check_trainable(model)
    device = check_possible(settings, len(corpus.ids), processes.device)
    at = training_length(len(corpus.ids), settings)
    training_ids, validation_ids = corpus.ids.part(0, at), corpus.ids.part(at)
    text = {"name": corpus.name, "sha256": corpus.fingerprint, "num_chars": len(corpus.ids)}
    if resume is not None:
        check_settings(resume, settings)
        check_corpus(resume, text)
    prefixes = sample_prefixes(model, corpus, settings)

    with (
        use_threads(settings.threads),
        _precision(model, settings.precision),
        _own_random_state(device),
        _without_the_callers_settings(device),
    ):
        torch.manual_seed(settings.seed + processes.rank)  # dropout: of other lanes, other units
        model.to(device).train()
        training = TrainingState.begin(model, settings)
        shared = SharedCheckpoints(checkpoints, processes)
        tell = Announcer(listeners, lambda: shared.rescue(training), alone=processes.size == 1)
        shared.begin(training, text, resume)
        try:
            with suppress(StopTraining):
                _train_epochs(training, processes, training_ids, validation_ids, prefixes, tell, shared)
                shared.finish(training)
                training.end()
                if settings.sample_every and training.kept and processes.first:
                    _draw_samples(training, training.kept.epoch, prefixes, tell)
            training.check()  # stopped between two checks, it may have diverged
        except TrainingDivergedError as error:
            if not shared.last_in_words:
                raise
            raise TrainingDivergedError(
                *error.parts, f"; the last good checkpoint is {shared.last_in_words}: resume with one of those lower"
            ) from None
        finally:
            training.end()
            model.eval()
            model.provenance = _provenance(text, training, prefixes)
    return training.history


def _train_epochs(
    training: TrainingState,
    processes: Processes,
    training_ids: StoredIds,
    validation_ids: StoredIds,
    prefixes: Sequence[str | bytes],
    tell: Announcer,
    checkpoints: SharedCheckpoints,
) -> None:
    """All epochs that are left, or as many as patience lasts for."""
    model, settings = training.model, training.settings
    learner, rows = make_learner(model, processes), processes.share(settings.rows)
    began = time.perf_counter() - training.seconds
    while not training.finished:
        epoch = training.epoch
        epoch_began = time.perf_counter() - training.epoch_seconds
        for progress in train_epoch(
            model,
            training.optimizer,
            training_ids,
            settings,
            training.generator,
            epoch,
            learner,
            rows,
            training.progress,
        ):
            training.progress = progress
            training.steps += 1
            now = time.perf_counter()
            training.seconds, training.epoch_seconds = now - began, now - epoch_began
            if progress.done % _FINITE_CHECK_STEPS == 0 or progress.done == progress.num_batches:
                training.check_finite(float(progress.mean_loss), epoch)
            done, rate = progress.done / progress.num_batches, training.optimizer.param_groups[0]["lr"]
            tell(StepEnded(epoch, done, progress.mean_loss, _speed(training), training.steps, rate))
            agreed = learner.agree(Wishes(tell.asked_to_stop, checkpoints.due(training)))
            if any(agreed) or _in_turn(training.steps, settings.checkpoint_steps):
                checkpoints.write(training)
            if agreed.stop:
                raise StopTraining
        assert training.progress is not None
        training.check()  # the last step may have left weights that the loss before it does not show
        perplexity = perplexity_of(float(training.progress.mean_loss))
        validation = _validate(training, validation_ids, processes, tell)
        training.seconds = time.perf_counter() - began
        record = EpochRecord(epoch, perplexity, validation, round(training.seconds, 3), round(_speed(training), 1))
        training.end_epoch(record)
        tell(EpochEnded(record, training.steps))
        if processes.first:
            training.warn_of_overfitting()
        if training.out_of_patience:
            return
        if processes.first and _in_turn(epoch, settings.sample_every) and epoch != settings.epochs:
            _draw_samples(training, epoch, prefixes, tell)


def _speed(training: TrainingState) -> float:
    """Characters a second, in the epoch's minibatches so far."""
    done = training.progress.done if training.progress else 0
    return done * training.settings.rows * training.settings.num_steps / max(training.epoch_seconds, 1e-9)


def _in_turn(number: int, every: int | None) -> bool:
    """Whether it is the turn of what is done every so many times; never for 0 or None."""
    return bool(every) and number % (every or 1) == 0


def _validate(training: TrainingState, ids: StoredIds, processes: Processes, tell: Announcer) -> float | None:
    """As long a text may take longer than one who asks for the end will wait: listeners are told meanwhile."""
    if not len(ids):
        return None
    num_lanes = max(1, min(training.settings.batch_size, (len(ids) - 1) // training.settings.num_steps))

    def progress(fraction: float) -> None:
        tell(ValidationAdvanced(training.epoch, fraction))

    scored = nats_in_lanes(training.model, ids, num_lanes, processes.share(num_lanes), progress)
    nats, count = processes.sum(torch.tensor(scored, dtype=torch.float64)).tolist()
    return perplexity_of(nats / count)


def _draw_samples(training: TrainingState, epoch: int, prefixes: Sequence[Any], tell: Announcer) -> None:
    sampling = SamplingSettings(temperature=USUAL_TEMPERATURE, seed=training.settings.seed + epoch)
    for prefix in prefixes:
        text = generate(training.model, prefix, training.settings.sample_chars, sampling)
        shown = text if isinstance(text, str) else text.decode("utf-8", "backslashreplace")
        tell(SampleDrawn(epoch, shown, training.steps))


def check_possible(settings: TrainingSettings, length: int, device_name: str | None = None) -> torch.device:
    """The device. Raises SettingsError where a text of this length cannot be trained on so, or this machine cannot.

    device_name: Instead of the settings'.
    """
    check_length(training_length(length, settings), settings.batch_size, settings.num_steps, settings.accumulate)
    device = find_device(device_name or settings.device)
    processors = os.cpu_count() or 1
    if settings.threads is not None and settings.threads > processors:
        raise SettingsError(f"this machine has {processors} processors", setting="threads", value=settings.threads)
    if settings.precision != "float32" and backend().name == "reference":
        raise SettingsError(
            "it is not for the reference path; train with float32", setting="precision", value=settings.precision
        )
    return device


def training_length(length: int, settings: TrainingSettings) -> int:
    """How much of a text is trained on; the rest, nothing or two characters at least, is for validation."""
    num_validation = int(length * settings.validation_fraction)
    if settings.validation_fraction and num_validation < 2:
        raise SettingsError(
            f"it leaves {num_validation} of {length} characters to validate on; raise it, or set it to 0",
            setting="validation_fraction",
            value=settings.validation_fraction,
        )
    return length - num_validation


def _provenance(corpus: dict[str, Any], training: TrainingState, prefixes: Sequence[str | bytes]) -> dict[str, Any]:
    texts = [prefix if isinstance(prefix, str) else prefix.decode("utf-8", "surrogateescape") for prefix in prefixes]
    return {
        "charloom": __version__,
        "corpus": corpus,
        "training": asdict(training.settings),
        "results": {**training.kept.to_dict(), "epochs_trained": len(training.history)} if training.kept else None,
        "prefixes": [text for text in texts if text],
    }


def _own_random_state(device: torch.device) -> AbstractContextManager[None]:
    """PyTorch's global random state, and the GPU's where one is trained on, put back at the end."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


@contextmanager
def _without_the_callers_settings(device: torch.device) -> Iterator[None]:
    """Keeps what the caller has switched on in PyTorch out of the training.

    Under the caller's autocast each step would compute with copies of the weights that PyTorch made in the first.
    """
    on_cpu = torch.get_default_device().type == "cpu"
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        nullcontext() if on_cpu else torch.device("cpu"),
    ):
        yield


@contextmanager
def _precision(model: LanguageModel, precision: Precision) -> Iterator[None]:
    before = model.precision
    model.precision = precision
    try:
        yield
    finally:
        model.precision = before
