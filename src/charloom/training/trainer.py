"""The training loop: epochs, validation, samples, checkpoints and events."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from types import NoneType

import torch

from charloom.errors import InputError, TrainingDivergedError
from charloom.inference.evaluation import sum_nats_in_parts
from charloom.inference.generation import generate
from charloom.inference.surprisal import perplexity_of
from charloom.models.device import find_device
from charloom.models.language_model import LanguageModel
from charloom.settings.sampling import DEFAULT_TEMPERATURE, SamplingSettings
from charloom.settings.training import TrainingSettings
from charloom.text.corpora import Corpus
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import CheckpointFolder
from charloom.training.checkpoints.resumption import check_corpus, check_settings
from charloom.training.environment import run_environment
from charloom.training.events import (
    EpochEnded,
    Event,
    Listener,
    SampleDrawn,
    StepEnded,
    StopTraining,
    ValidationAdvanced,
)
from charloom.training.history import EpochRecord, History
from charloom.training.prefixes import sample_prefixes
from charloom.training.processes import Processes
from charloom.training.run_checks import check_run, compute_training_length
from charloom.training.shared_gradients import Requests, SharedGradients
from charloom.training.state import TrainingState
from charloom.training.time_limit import TimeLimit
from charloom.training.truncated_bptt import check_trainable, train_epoch
from charloom_codec.arguments import check_listeners, check_type
from charloom_codec.version import __version__

_FINITE_CHECK_STEPS = 50  # reading the loss synchronizes with the GPU, so it is not checked at every step


def train(
    model: LanguageModel,
    corpus: Corpus,
    settings: TrainingSettings | None = None,
    *,
    listeners: Sequence[Listener] = (),
    checkpoints: CheckpointFolder | None = None,
    resume: Checkpoint | None = None,
    processes: Processes | None = None,
    started_at: float | None = None,
) -> History:
    """Trains a model in place, starting from its current weights.

    Warns of a loss that explodes and stays finite, and of overfitting if the weights of the last epoch are kept.

    A run that is stopped within an epoch keeps the weights of its last step, unless the settings keep the best ones.
    The record in ``model.provenance`` is then that of the last epoch that ended.

    Args:
        model: Model with the vocabulary of the corpus. It is moved to the settings' device, and left in ``eval`` mode.
        corpus: Text to train on; the held-out part is its end.
        settings: Training settings. None: the defaults, or those of the checkpoint to resume.
        listeners: Callbacks that are called with each event (``charloom.training.events``); one may raise
            ``StopTraining``, which ends the run without an error.
        checkpoints: Folder to write checkpoints to, at the intervals given by the settings; None to write none.
        resume: Checkpoint to resume, including its weights (``checkpoint.make_model()`` makes a model for them). The
            result equals that of an uninterrupted run, bit for bit on the same machine.
        processes: Process group (``init_processes``), all with the same arguments; None for a single process.
        started_at: Start of the run by ``time.perf_counter``, from which the time limit counts; None for now.

    Returns:
        The history. ``model.provenance``, which is saved with the model, has the text's fingerprint, the settings and,
        in ``results``, the number ``epochs_trained`` and the record of the epoch whose weights the model has: the best
        if ``settings.ends_with_best``, else the last; None if no epoch ended. If the weights are later than that
        record, because the run was stopped, ``minibatches_after_epoch`` is the number of minibatches in between.

    Raises:
        SettingsError: The text is too short, or a setting is not supported on this machine or cannot be changed in a
            resumed run.
        TrainingDivergedError: The loss or a weight is not finite; the model has the last good or the best weights.
        CheckpointError: The checkpoint is damaged, or of another text or model.
        InputError: The model and the corpus have different vocabularies, or processes have different arguments.
    """
    check_type(LanguageModel, model=model)
    check_type(Corpus, corpus=corpus)
    check_type((TrainingSettings, NoneType), settings=settings)
    check_listeners(listeners)
    check_type((CheckpointFolder, NoneType), checkpoints=checkpoints)
    check_type((Checkpoint, NoneType), resume=resume)
    check_type((Processes, NoneType), processes=processes)
    started_at = time.perf_counter() if started_at is None else started_at
    settings = settings or (resume.settings if resume else TrainingSettings())
    processes = processes or Processes()
    processes.check_equal(
        text=corpus.fingerprint,
        vocabulary=model.vocabulary.tokens,
        weights=[(name, tensor.shape, tensor.requires_grad) for name, tensor in model.named_parameters()],
        settings=replace(settings, device="auto", threads=None),  # these two may differ between machines
        checkpoints=checkpoints is None,
        checkpoint_to_resume=resume and (resume.steps, resume.history),
    )
    processes.check_settings(settings)
    if model.vocabulary != corpus.vocabulary:
        raise InputError("the corpus and the model have different vocabularies: build the model with corpus.vocabulary")
    check_trainable(model)
    check_run(settings, len(corpus.ids), processes.device)
    device = find_device(processes.device or settings.device)
    if resume is not None:
        check_settings(resume, settings)
        check_corpus(resume, corpus)
    prefixes = sample_prefixes(model, corpus, settings)

    with run_environment(model, settings, device):
        torch.manual_seed(settings.seed + processes.rank)  # so that dropout differs between ranks
        model.to(device).train()
        training = TrainingState(model, settings)
        if resume is not None:
            resume.restore(training, processes)
        if checkpoints is not None:
            checkpoints.start(training, corpus.identity, resume, processes)
        try:
            with suppress(StopTraining):
                _Trainer(training, corpus, prefixes, listeners, checkpoints, processes).run(started_at)
            training.check_finite()  # a run that was stopped may have diverged since the last check
        except TrainingDivergedError as error:
            if checkpoints is None or not checkpoints.last_description:
                raise
            last = (
                f"; to continue, resume from the last good checkpoint, {checkpoints.last_description}, with that change"
            )
            raise TrainingDivergedError(*error.parts, last) from None
        finally:
            training.load_final_weights()
            model.eval()
            model.provenance = _provenance(corpus, training, prefixes)
    return training.history


class _Trainer:
    """Loop over the epochs of a run, with its events, checkpoints, validation and samples."""

    def __init__(
        self,
        training: TrainingState,
        corpus: Corpus,
        prefixes: Sequence[str | bytes],
        listeners: Sequence[Listener],
        checkpoints: CheckpointFolder | None,
        processes: Processes,
    ) -> None:
        split = compute_training_length(len(corpus.ids), training.settings)
        self._training_ids, self._validation_ids = corpus.ids.part(0, split), corpus.ids.part(split)
        self._training, self._prefixes, self._listeners = training, prefixes, listeners
        self._checkpoints, self._processes = checkpoints, processes
        self._shared = SharedGradients(training.model, processes) if processes.size > 1 else None
        self._is_stop_requested = False
        self._time_limit = TimeLimit(training.settings, len(self._validation_ids))

    def run(self, started_at: float) -> None:
        """Trains the remaining epochs, or fewer if early stopping or the time limit ends the run.

        Then finishes the checkpoints, loads the final weights and draws the final samples.

        Args:
            started_at: Start of the run, or of its resumption, by ``time.perf_counter``.
        """
        training, settings, generator = self._training, self._training.settings, self._training.generator
        model, optimizer, ids = training.model, training.optimizer, self._training_ids
        # Shifted back by the training time before the run was resumed.
        virtual_start = started_at - training.seconds
        # Of the checkpoint, which is equal on all ranks.
        training.time_share = self._time_limit.compute_share(training.seconds, math.inf)
        while not training.is_finished:
            epoch, epoch_started = training.epoch, time.perf_counter() - training.epoch_seconds
            minibatches = train_epoch(
                *(model, optimizer, ids, settings, generator, epoch, self._shared, training.progress),
                lambda: min(training.time_share, 1.0),
            )
            for progress in minibatches:
                now = time.perf_counter()
                training.progress, training.steps = progress, training.steps + 1
                training.seconds, training.epoch_seconds = now - virtual_start, now - epoch_started
                if progress.done % _FINITE_CHECK_STEPS == 0 or progress.done == progress.num_batches:
                    training.check_loss_finite()
                done, rate = progress.done / progress.num_batches, optimizer.param_groups[0]["lr"]
                share = self._time_limit.compute_share(training.seconds, training.speed)
                training.time_share = share if self._shared is None else self._shared.exchange_time_share(share)
                run_fraction = max((epoch - 1 + done) / settings.epochs, min(training.time_share, 1.0))
                self._emit(
                    StepEnded(epoch, done, progress.mean_loss, training.speed, training.steps, rate, run_fraction)
                )
                self._handle_requests()
                # After the requests, so that a checkpoint that is due is written.
                if training.time_share >= 1.0:
                    break
            self._end_epoch(virtual_start)
        if self._checkpoints is not None:
            self._checkpoints.finish(training)
            self._checkpoints = None  # from here on the model may have the weights of an earlier epoch
        training.load_final_weights()  # samples are drawn with the weights that the run ends with
        if settings.sample_every and training.kept:
            self._draw_samples(training.kept.epoch)

    def _handle_requests(self) -> None:
        """Writes a checkpoint if one is due or the run is to stop; raises ``StopTraining`` in the latter case."""
        training = self._training
        is_due = self._checkpoints is not None and self._checkpoints.is_due_by_time(training)
        requests = Requests(self._is_stop_requested, is_due)
        agreed = requests if self._shared is None else self._shared.exchange_requests(requests)
        every = training.settings.checkpoint_steps
        if self._checkpoints and (any(agreed) or (every and training.steps % every == 0)):
            self._checkpoints.write(training)
        if agreed.stop:
            raise StopTraining

    def _end_epoch(self, virtual_start: float) -> None:
        """Validates, records the epoch, emits ``EpochEnded`` and, if they are due and epochs remain, draws samples.

        Args:
            virtual_start: Time by ``time.perf_counter`` at which an uninterrupted run would have started.
        """
        training, epoch = self._training, self._training.epoch
        assert training.progress is not None
        training.check_finite()  # the loss is computed before the last step, which may have made a weight NaN
        perplexity = perplexity_of(float(training.progress.mean_loss))
        before = time.perf_counter()
        validation = self._validate() if len(self._validation_ids) else None
        now = time.perf_counter()
        training.seconds, self._time_limit.validation_seconds = now - virtual_start, now - before
        seconds, speed = round(training.seconds, 3), round(training.speed, 1)
        record = EpochRecord(epoch, perplexity, validation, seconds, speed, training.time_share >= 1.0)
        training.end_epoch(record)
        self._emit(EpochEnded(record, training.steps))
        if self._processes.is_rank_zero:
            training.warn_of_problems()  # once, not once per process
        every = training.settings.sample_every
        if every and epoch % every == 0 and not training.is_finished:
            self._draw_samples(epoch)

    def _validate(self) -> float:
        """Returns the perplexity of the held-out part, summed over all ranks; emits ``ValidationAdvanced``."""
        training, ids = self._training, self._validation_ids
        num_parts = max(1, min(training.settings.batch_size, (len(ids) - 1) // training.settings.num_steps))

        def progress(fraction: float) -> None:
            self._emit(ValidationAdvanced(training.epoch, fraction))  # a listener can stop a long validation

        scored = sum_nats_in_parts(
            training.model, ids, num_parts, self._processes.get_rows_of_rank(num_parts), progress
        )
        # Sums, not a mean of perplexities: ranks may have different numbers of sequences.
        gathered = torch.stack(self._processes.all_gather(torch.tensor(scored, dtype=torch.float64)))
        nats, count = gathered.sum(0).tolist()
        return perplexity_of(nats / count)

    def _draw_samples(self, epoch: int) -> None:
        """Emits a sample for each prefix, on rank 0 only; the epoch is added to the seed."""
        model, settings = self._training.model, self._training.settings
        sampling = SamplingSettings(temperature=DEFAULT_TEMPERATURE, seed=settings.seed + epoch)
        for prefix in self._prefixes if self._processes.is_rank_zero else ():
            if isinstance(prefix, str):
                text = generate(model, prefix, settings.sample_chars, sampling)
            else:
                text = generate(model, prefix, settings.sample_chars, sampling).decode("utf-8", "backslashreplace")
            self._emit(SampleDrawn(epoch, text, self._training.steps))

    def _emit(self, event: Event) -> None:
        """Calls the listeners. If one raises in a single process, a checkpoint is written first, if the run has any.

        With several processes, ``StopTraining`` takes effect after the next step, on all ranks.
        """
        for listener in self._listeners:
            try:
                listener(event)
            except BaseException as error:
                if self._shared is not None and isinstance(error, StopTraining):
                    self._is_stop_requested = True  # stopped alone, it would leave the others waiting in an all-reduce
                    continue
                if self._shared is None and self._checkpoints is not None:
                    self._checkpoints.write(self._training)  # between two steps, the state is complete
                raise


def _provenance(corpus: Corpus, training: TrainingState, prefixes: Sequence[str | bytes]) -> dict[str, object]:
    """Returns the ``provenance`` of the model, with the results: call ``load_final_weights`` before."""
    texts = [prefix if isinstance(prefix, str) else prefix.decode("utf-8", "surrogateescape") for prefix in prefixes]
    return {
        "charloom": __version__,
        "corpus": corpus.identity,
        "training": asdict(training.settings),
        "results": training.results,
        "prefix": [text for text in texts if text],
    }
