"""Processes that train together and write their results: torchrun runs this file, with a folder and steps.

The tests themselves run ``trained``, too, as the single process that the several must equal.
"""

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import nn

import charloom
from charloom import CheckpointFolder, ModelSettings, TrainingSettings
from charloom.errors import CharloomError, CorpusError
from charloom.training import trainer, truncated_bptt
from charloom.training.checkpoints.folder import broadcast_newest_checkpoint
from charloom.training.events import Event, StepEnded, StopTraining
from charloom.training.processes import Processes, init_processes
from charloom.training.shared_gradients import SharedGradients

CELLS = ("rnn", "gru", "lstm")
PARTITIONINGS = ("sequential", "random")
STOP_AFTER = 7
_STEPS = 10
_BATCH = 8


def text_of(steps: int) -> str:
    """Returns a text with one epoch of ``steps`` minibatches, and 30 characters for validation."""
    numbers = torch.randint(12, (steps * _BATCH * _STEPS + _STEPS + 30,), generator=torch.Generator().manual_seed(4))
    return "".join("abcdefghijkl"[number] for number in numbers)


def trained(
    processes: Processes,
    cell: Any,
    partitioning: Any,
    steps: int,
    *,
    epochs: int = 1,
    dropout: float = 0.0,
    folder: Path | None = None,
    into: Path | None = None,
    stop: bool = False,
    minutes: float | None = None,
) -> dict[str, Any]:
    """Trains from scratch, or from the last checkpoint in the folder; returns the losses of all steps, and the results.

    ``into`` is the folder of new checkpoints, if not the same. With ``stop``, the last process requests the end after
    as many steps. With ``minutes``, each process has a clock of its own, which advances at each reading.
    """
    corpus = charloom.corpus_from(text_of(steps), name="made")
    resume = broadcast_newest_checkpoint(processes, folder) if folder is not None else None
    sizes = ModelSettings(cell=cell, hidden_size=16, num_layers=2, embedding_size=6, dropout=dropout, init_sigma=0)
    model = resume.make_model() if resume else charloom.build_model(corpus.vocabulary, sizes, seed=3)
    settings = TrainingSettings(
        batch_size=_BATCH,
        num_steps=_STEPS,
        epochs=epochs,
        partitioning=partitioning,
        optimizer="adamw" if cell == "gru" else "sgd",
        learning_rate=0.01 if cell == "gru" else 1.0,
        validation_fraction=30 / len(corpus.ids),
        device="cpu",
        sample_every=0,
        schedule="cosine" if minutes else "constant",
        minutes=minutes,
    )
    steps_done = 0

    def listen(event: Event) -> None:
        nonlocal steps_done
        steps_done += isinstance(event, StepEnded)
        if stop and processes.rank == processes.size - 1 and steps_done == STOP_AFTER:
            raise StopTraining

    place = into or folder
    checkpoints = CheckpointFolder(place) if place is not None else None
    with _losses() as losses, _own_clock(processes.rank) if minutes else contextlib.nullcontext():
        history = charloom.train(
            model,
            corpus,
            settings,
            listeners=[listen],
            checkpoints=checkpoints,
            resume=resume,
            processes=processes,
        )
    return {
        "losses": losses,
        "history": [[record.epoch, record.perplexity, record.validation_perplexity] for record in history],
        "reached time limit": history.reached_time_limit,
        "weights": {name: tensor.flatten().tolist() for name, tensor in model.state_dict().items()},
    }


@contextlib.contextmanager
def _losses() -> Iterator[list[float]]:
    """Records the loss of each step."""
    losses: list[float] = []
    original = truncated_bptt.train_step

    def step(*arguments: Any) -> Any:
        loss, state = original(*arguments)
        losses.append(float(loss))
        return loss, state

    with mock.patch.object(truncated_bptt, "train_step", step):
        yield losses


@contextlib.contextmanager
def _own_clock(rank: int) -> Iterator[None]:
    """Replaces the clock of training by one that depends on the rank."""
    clock = itertools.count(step=1.0 + 0.5 * rank)
    with mock.patch.object(trainer, "time", SimpleNamespace(perf_counter=lambda: float(next(clock)))):
        yield


def _stopped_and_resumed(processes: Processes, folder: Path) -> dict[str, Any]:
    """Trains with dropout, and the first process' checkpoints in a folder that the others do not have."""
    options: dict[str, Any] = {"epochs": 2, "dropout": 0.3}
    own = folder / f"of-{processes.rank}"
    undisturbed = trained(processes, "lstm", "sequential", 20, **options)
    started = trained(processes, "lstm", "sequential", 20, **options, folder=own, stop=True)
    resumed = trained(processes, "lstm", "sequential", 20, **options, folder=own)
    for_one = trained(processes, "gru", "sequential", 20, folder=folder / "for-one", stop=True)
    trained(processes, "gru", "sequential", 20, folder=folder / "for-one", into=folder / "moved", stop=True)
    return {"undisturbed": undisturbed, "started": started, "resumed": resumed, "for one process": for_one}


def _failure(processes: Processes, ranks: tuple[int, ...]) -> str:
    try:
        with processes.barrier():
            if processes.rank in ranks:
                raise CorpusError(f"a reason of {processes.rank}")
    except CharloomError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def _disagreements(processes: Processes) -> dict[str, str]:
    """Returns the errors of ``train`` if the last process has another argument than the first, by argument."""
    sizes = ModelSettings(hidden_size=8, init_sigma=0)
    settings = TrainingSettings(batch_size=_BATCH, num_steps=_STEPS, epochs=1, device="cpu", sample_every=0)
    errors = {}
    for other in ("text", "weights", "settings", "checkpoints"):
        differs = not processes.is_rank_zero and other
        corpus = charloom.corpus_from(text_of(3).translate({ord("a"): "b"} if differs == "text" else {}), name="made")
        model = charloom.build_model(corpus.vocabulary, replace(sizes, cell="gru" if differs == "weights" else "rnn"))
        seed, folder = int(differs == "settings"), CheckpointFolder(sys.argv[1]) if differs == "checkpoints" else None
        try:
            charloom.train(model, corpus, replace(settings, seed=seed), checkpoints=folder, processes=processes)
        except CharloomError as error:
            errors[other] = f"{type(error).__name__}: {error}"
    return errors


def _shared_gradients(processes: Processes) -> list[list[float] | None]:
    """Means of gradients 1 + rank: of a parameter that all use, that the last one uses, that nobody uses."""
    module = nn.ParameterList([torch.zeros(2) for _ in range(4)])
    module[3].requires_grad_(False)
    shared = SharedGradients(module, processes)
    for parameter in list(module)[: 1 if processes.is_rank_zero else 2]:
        parameter.grad = torch.full((2,), 1.0 + processes.rank)
    shared.average(module, torch.tensor(0.0))
    return [None if parameter.grad is None else parameter.grad.tolist() for parameter in module]


def _error_after_loss(processes: Processes) -> str:
    """Returns the error of the first process after the other one has ended."""
    if not processes.is_rank_zero:
        os._exit(0)  # any other end, and torchrun would end the first one too
    try:
        while True:
            processes.all_gather(torch.ones(()))
    except CharloomError as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Runs everything; ``steps`` are those of each run that is compared with one process."""
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    with init_processes("cpu") as processes:
        seen: dict[str, Any] = {
            f"{cell}, {partitioning}": trained(processes, cell, partitioning, steps)
            for cell in CELLS
            for partitioning in PARTITIONINGS
        }
        seen |= _stopped_and_resumed(processes, folder)
        seen["limited"] = trained(processes, "lstm", "sequential", 20, epochs=50, dropout=0.3, minutes=1)
        seen["failures"] = [_failure(processes, who) for who in ((), (1,), (0, 1))]
        seen["disagreements"], seen["gradients"] = _disagreements(processes), _shared_gradients(processes)
        result = folder / f"seen-{processes.rank}.json"
        result.write_text(json.dumps(seen))
        seen["error after loss"] = _error_after_loss(processes)
        result.write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
