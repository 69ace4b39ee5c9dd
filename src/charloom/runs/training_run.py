"""A training run in a folder, from the lock to the saved model: the execution of a ``RunPlan``.

Use ``training.trainer.train`` to train a model in memory, without a folder.
"""

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Literal, Self

from charloom.errors import (
    CharloomError,
    CharloomWarning,
    InputError,
    ModelFolderError,
    Part,
    SettingsError,
    TrainingDivergedError,
)
from charloom.models.language_model import LanguageModel
from charloom.runs.fitting import fit_recipe
from charloom.runs.folder import RunFolder, texts_for_codec
from charloom.runs.outcome import Outcome
from charloom.runs.plan import RunPlan
from charloom.runs.start import Start, recipe_of_plan, resolve_settings, start_new, start_resumed, stored_texts
from charloom.text.corpora import Corpus, load_corpus
from charloom.text.sources import Progress
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import CheckpointFolder, broadcast_newest_checkpoint, newest_checkpoint
from charloom.training.checkpoints.resumption import describe_end
from charloom.training.events import Listener, SavingStarted, StopTraining
from charloom.training.processes import Processes, init_processes
from charloom.training.run_checks import check_run
from charloom.training.trainer import train
from charloom_codec.arguments import check_type
from charloom_codec.io.standard_streams import STANDARD_INPUT


class TrainingRun:
    """Execution of a ``RunPlan``: locks the folder, finds the checkpoint, trains the model and saves it.

    ``TrainingRun(plan).run()`` does all of this. To inspect the start before training, enter the run::

        with TrainingRun(plan) as run:
            print(run.start.description)
            outcome = run.train(listeners)

    Attributes:
        plan: Plan of the run.
        folder: The folder of the run, locked while the run is entered.
        processes: Process group of the run, once the run is entered.
        start: Text, model and checkpoint, once the run is entered.
        history: Records of the epochs that ended.
        end_reason: Parts of a message that states why a resumed run has nothing left to train; None if epochs remain.
        started_at: Start of the run by ``time.perf_counter``, from which a time limit counts; the creation of this
            object, unless it is set to an earlier time.
    """

    def __init__(self, plan: RunPlan, *, processes: Processes | None = None, progress: Progress | None = None) -> None:
        """Prepares the run; nothing is read or locked before it is entered.

        Args:
            plan: Plan of the run; the same on all processes.
            processes: Process group to train in; the caller destroys it, not this run. None: the processes that
                torchrun started, or this process alone.
            progress: Callback for the progress of reading the text, in bytes; see ``load_corpus``.

        Raises:
            SettingsError: The plan resumes a checkpoint outside the folder of a run, and does not set ``output``.
        """
        check_type(RunPlan, plan=plan)
        check_type((Processes, NoneType), processes=processes)
        check_type((Callable, NoneType), progress=progress)
        self.plan = plan
        self.folder = RunFolder(plan.folder)
        self.history = self.folder.history
        self.processes = processes or Processes()
        self._owns_processes = processes is None
        self.start: Start
        self.end_reason: tuple[Part, ...] | None = None
        # Not the start of training: a time limit includes the reading of the text.
        self.started_at = time.perf_counter()
        self._progress = progress
        self._stack = ExitStack()
        self._stage: Literal["new", "entered", "trained", "left"] = "new"

    def run(self, listeners: Sequence[Listener] = ()) -> Outcome:
        """Enters the run, trains and saves the model, and leaves the run. See ``train``."""
        with self:
            return self.train(listeners)

    def __enter__(self) -> Self:
        """Locks the folder and prepares the start.

        A model or run in the folder is resumed, replaced or refused, as the plan requires.

        Raises:
            CharloomError: The folder is locked, cannot be written, or contains a model or run that the plan does not
                replace; a setting, the text, the checkpoint or the initial model is invalid; or the run was entered
                before.
        """
        if self._stage != "new":
            raise InputError("a TrainingRun can be entered only once: create a new one from the same plan")
        self._stage = "left"  # a run that fails to start cannot be entered again either
        plan, recipe = self.plan, recipe_of_plan(self.plan)
        with ExitStack() as stack:
            if self._owns_processes:
                self.processes = stack.enter_context(init_processes(recipe.training.device))
            processes = self.processes
            if not processes.is_rank_zero:  # the first process warns
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", CharloomWarning)
            # In a barrier, an error of one process is raised on all, so that none waits for it forever.
            with processes.barrier():
                processes.check_settings(recipe.training)
                if STANDARD_INPUT in plan.texts and processes.size > 1:
                    raise SettingsError("standard input cannot be shared between processes: pass a file")
                if processes.is_rank_zero:
                    in_place = plan.continues_in_folder
                    # A missing folder that is to be resumed is not created: reading its checkpoint reports the error.
                    if self.folder.path.exists() or not in_place:
                        stack.callback(self.folder.release)
                        self.folder.acquire(force=plan.force or in_place or processes.restarts > 0)
            checkpoint = self._read_checkpoint()  # under the lock, so that no other process continues the run meanwhile
            with processes.barrier():
                recipe, model = resolve_settings(plan, recipe, checkpoint, processes.restarts)
                if isinstance(plan.corpus, Corpus):
                    corpus = plan.corpus
                else:
                    texts = plan.texts or (stored_texts(checkpoint) if checkpoint else None)
                    corpus = load_corpus(texts, **vars(recipe.corpus), progress=self._progress)
                if checkpoint is None or model is None:
                    recipe = fit_recipe(corpus, recipe, processes=processes, started_at=self.started_at)
                    processes.check_settings(recipe.training)
                    self.start = start_new(plan, recipe, model, corpus)
                else:
                    self.start = start_resumed(plan, recipe, model, checkpoint, corpus, processes.restarts)
                    self.end_reason = describe_end(checkpoint, recipe.training)
                check_run(recipe.training, len(corpus.ids), processes.device)
                if processes.is_rank_zero:
                    self.folder.prepare(checkpoint.history if checkpoint else None)
            processes.mark_training_started()
            # Until here, an error unlocks the folder; from here on, __exit__ does.
            self._stack = stack.pop_all()
        self._stage = "entered"
        return self

    def __exit__(self, *_: object) -> None:
        self._stage = "left"
        self._stack.close()

    def _read_checkpoint(self) -> Checkpoint | None:
        """Reads the checkpoint to resume: after a restart by torchrun, the run's own last one; else the plan's, if any.

        All processes must call this. Raises CheckpointError if the plan's cannot be read.
        """
        processes, path = self.processes, self.plan.resume_path
        if processes.restarts and (found := broadcast_newest_checkpoint(processes, self.folder.path, of_this_run=True)):
            return found
        if path is None:
            return None
        return broadcast_newest_checkpoint(processes, path) or newest_checkpoint(path)  # which raises the error

    @property
    def can_skip_training(self) -> bool:
        """True if ``train`` would return the model in the folder: nothing is left to train, and all files are saved.

        False with several processes, which all train, and if the weights of another epoch are to be saved.
        """
        return self._saved_model is not None

    @cached_property
    def _saved_model(self) -> LanguageModel | None:
        """Model in the folder, if a run with nothing left to train would save the same one; else None."""
        checkpoint = self.start.checkpoint
        # With several processes, all train: if one skipped it, the others would wait in their first collective call.
        if checkpoint is None or self.end_reason is None or self.processes.size > 1:
            return None
        return self.folder.load_finished(checkpoint, self.start.settings)

    def train(self, listeners: Sequence[Listener] = (), *, notes: Mapping[str, object] | None = None) -> Outcome:
        """Trains the model and saves it, even if a listener stops training.

        After a divergence or other ``Exception``, it is saved only if an epoch ended; all but a divergence are raised.

        Args:
            listeners: Callbacks for events, which are not called if the model in the folder is returned. If there is a
                model to save, ``SavingStarted`` is the last event, on rank 0; ``StopTraining`` has no effect then.
            notes: JSON values to store in checkpoints, in ``Checkpoint.source``. They override its keys.

        Returns:
            The outcome, also of a run that diverged: its ``error`` is not raised.

        Raises:
            CharloomError: Training failed. An OSError is converted to it only if a model was saved; the message then
                names the folder.
            InputError: The run is not entered, or was trained before.
            ModelFolderError: The folder cannot be written; the model is saved in a temporary folder.
        """
        if self._stage != "entered":
            raise InputError("a TrainingRun can train only once, within its `with` statement")
        self._stage = "trained"
        start, processes, plan = self.start, self.processes, self.plan
        if self._saved_model is not None:
            return self._outcome(self._saved_model)
        priming = plan.priming and plan.save_model and start.source.get("priming") is not False
        source = start.source | {"priming": priming, "run": processes.run} | dict(notes or {})
        checkpoints = CheckpointFolder(self.folder.path, source=source) if plan.checkpoints else None
        before, failure = start.model.provenance, None
        try:
            self.history = train(
                start.model,
                start.corpus,
                start.settings,
                listeners=[self.folder, *listeners] if processes.is_rank_zero else listeners,
                checkpoints=checkpoints,
                resume=start.checkpoint,
                processes=processes,
                started_at=self.started_at,
            )
        except Exception as error:  # raised below, after the model of the last epoch is saved
            self.history, failure = self.folder.history, error
        saved: tuple[Part, ...] = ()
        # A run that failed has nothing to save if train() did not start or no epoch ended.
        trained = failure is None or (start.model.provenance is not before and self.history)
        if trained and processes.is_rank_zero and plan.save_model:
            self._save(listeners, priming=priming)
            if failure is not None:
                results = start.model.provenance["results"]
                later = " and later minibatches" if "minibatches_after_epoch" in results else ""
                saved = (f"; the model of epoch {results['epoch']}{later} is saved in {self.folder.path}",)
        last = checkpoints.last_description if checkpoints is not None and checkpoints.is_behind else ""
        if isinstance(failure, TrainingDivergedError):
            return self._outcome(start.model, last, TrainingDivergedError(*failure.parts, *saved))
        if saved and isinstance(failure, (CharloomError, OSError)):
            raise CharloomError(*_message_parts(failure), *saved) from failure
        if failure is not None:
            raise failure
        return self._outcome(start.model, last)

    def _outcome(
        self, model: LanguageModel, last_checkpoint: str = "", error: TrainingDivergedError | None = None
    ) -> Outcome:
        history, settings = self.history, self.start.settings
        results = model.provenance.get("results")
        done = history.is_complete(settings)
        status: Literal["finished", "stopped", "diverged", "nothing to do"] = "finished" if done else "stopped"
        if error is not None:
            status = "diverged"
        elif self.end_reason is not None:
            status = "nothing to do"
        kept = history[results["epoch"] - 1] if results else None
        return Outcome(status, model, history, kept, last_checkpoint, error)

    def _save(self, listeners: Sequence[Listener], *, priming: bool) -> None:
        """Emits ``SavingStarted`` and saves the model to the folder.

        If that fails, saves it to a new temporary folder and raises ModelFolderError. Without ``priming``, no part of
        the text is stored: neither for the codec nor as the prefix of samples.
        """
        for listener in listeners:
            with suppress(StopTraining):  # there is nothing left to stop
                listener(SavingStarted())
        model, start = self.start.model, self.start
        if not priming:  # else it would store the start of the text, the samples' default prefix
            model.provenance = {**model.provenance, "prefix": list(model.provenance["training"]["prefix"])}
        try:
            self.folder.finish(model, texts_for_codec(start.corpus, start.settings) if priming else (b"", b""))
        except (CharloomError, OSError) as error:
            # Hours of training are not lost to a full disk or an unmounted folder.
            rescue_folder = Path(tempfile.mkdtemp(prefix="charloom-"))
            model.save(rescue_folder)
            saved = f"; the model is saved in {rescue_folder} instead"
            raise ModelFolderError(*_message_parts(error), saved) from error


def _message_parts(error: CharloomError | OSError) -> tuple[Part, ...]:
    return error.parts if isinstance(error, CharloomError) else (str(error),)
