"""A checkpoint: a run between two steps, in a file. Going on from it gives what going on without it would have given.

Tensors, by name:

- ``weights/``, ``last_good/``, ``best/``: those of the run; the latter two where they are not the former.
- ``optimizer/INDEX/``: the optimizer's state of a parameter.
- ``history/``: a column for each field of the records, float64.
- ``random/global``: PyTorch's random state, and ``random/others/RANK`` those of the other processes, where several
  train; ``random/epoch``: the run's generator as the epoch began, from which the epoch's offset and order are drawn
  again.
- ``epoch/total_loss``, ``epoch/state/INDEX``: within an epoch, the sum of losses and the state that is carried.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charloom.arguments import PATH, check_type
from charloom.errors import CharloomError, CheckpointError, SettingsError
from charloom.models.language_model import LanguageModel
from charloom.recurrence.backend import backend
from charloom.recurrence.state import parts_of, state_of
from charloom.settings.training import TrainingSettings
from charloom.shapes import State
from charloom.training.checkpoints.file_format import read_checkpoint, write_checkpoint
from charloom.training.history import EpochRecord, History
from charloom.training.optimization import state_pattern
from charloom.training.state import TrainingState, Weights, place_in_words, weights_of
from charloom.training.truncated_bptt import EpochProgress
from charloom.version import __version__

_LARGEST = 2**53
"""What a count of steps may be: beyond, floats no longer tell neighbours apart."""


@dataclass(frozen=True)
class Checkpoint:
    """A run as it was between two steps, read from a file.

    Attributes:
        path: The file.
        settings: Of the run.
        corpus: ``name``, ``sha256`` and ``num_chars`` of its text.
        source: Where its text came from, if the command line said; see ``training.resumption``.
        history: Its epochs so far.
        steps: Minibatches trained on, in all.
        done: Minibatches trained on of the epoch after those.
        num_batches: Minibatches of that epoch, if one of it is done.
        made_with: Versions and kernels; with others, the last bits may differ.
    """

    path: Path
    settings: TrainingSettings
    corpus: dict[str, Any]
    source: dict[str, Any]
    history: History
    steps: int
    done: int
    num_batches: int
    made_with: dict[str, str]
    _facts: dict[str, Any]
    _tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: str | Path) -> "Checkpoint":
        """Reads a file. Raises CheckpointError for one that is damaged, or that another version wrote."""
        check_type(PATH, path=path)
        file = Path(path)
        facts, tensors = read_checkpoint(file)
        try:
            return cls(
                file,
                TrainingSettings(**facts["training"]),
                _texts_of(facts["corpus"], "name", "sha256") | {"num_chars": _count(facts["corpus"]["num_chars"])},
                dict(facts["source"]),
                _history_of(_part(tensors, "history")),
                _count(facts["steps"]),
                _count(facts["epoch"]["done"]),
                _count(facts["epoch"]["num_batches"]),
                _texts_of(facts["made_with"], *made_with()),
                facts,
                tensors,
            )
        except SettingsError as error:
            raise CheckpointError(f"{file}: damaged ({error!s:.200})") from None
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{file}: damaged, or of another version ({error!r:.200})") from None

    @property
    def place(self) -> str:
        """In words: the epoch, and the minibatch in it."""
        return place_in_words(len(self.history), self.done, self.num_batches)

    @torch.inference_mode(mode=False)  # in which the model could not be trained
    def make_model(self) -> LanguageModel:
        """The model, with the weights of the last step. Raises CheckpointError where there is none in the file."""
        try:
            weights = {name: tensor.clone() for name, tensor in _part(self._tensors, "weights").items()}
            return LanguageModel.assemble(self._facts["model"], weights)
        except (CharloomError, KeyError) as error:
            raise CheckpointError(f"{self.path}: damaged ({error!s:.300})") from None

    def restore(self, training: TrainingState, rank: int = 0, num_processes: int = 1) -> None:
        """Puts a run that has just begun, of the same model and text, to where this one was.

        rank, num_processes: Which process' this run is, of how many that train. Where they are another number than it
        was saved by, all but the first draw other random numbers. The state is that of all lanes. PyTorch's global
        random state is restored too. Raises CheckpointError, with the run in no defined state, for what is not this
        run's.
        """
        try:
            self._restore(training)
            self._restore_random_state(training, rank, num_processes)
        except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise CheckpointError(f"{self.path}: damaged, or of another model ({error!r:.200})") from None

    def _restore(self, training: TrainingState) -> None:
        facts, tensors, device = self._facts, self._tensors, training.model.device
        weights = self._weights("weights", training, None)
        last_good = self._weights("last_good", training, weights)
        best = self._weights("best", training, last_good) if self.history.best else None
        training.put_weights(weights)
        training.last_good, training.best = last_good, best
        training.history.records[:] = self.history.records
        training.optimizer.load_state_dict(
            training.optimizer.state_dict() | {"state": _optimizer_state(_part(tensors, "optimizer"), training)}
        )
        training.epoch_began_with = tensors["random/epoch"]
        training.generator.set_state(tensors["random/epoch"])
        training.steps = self.steps
        training.seconds, training.epoch_seconds = (_seconds(facts[name]) for name in ("seconds", "epoch_seconds"))
        training.progress = None
        if self.done:
            total = _like(tensors["epoch/total_loss"], torch.zeros((), dtype=torch.float32)).to(device)
            training.progress = EpochProgress(self.done, self.num_batches, total, self._state(training))

    def _restore_random_state(self, training: TrainingState, rank: int, num_processes: int) -> None:
        others = _part(self._tensors, "random/others")
        if rank == 0:
            training.random_state = self._tensors["random/global"]
        elif len(others) + 1 == num_processes:
            training.random_state = others[str(rank)]
        else:
            torch.manual_seed(training.settings.seed + rank + self.steps)

    def _weights(self, name: str, training: TrainingState, otherwise: Weights | None) -> Weights:
        found = _part(self._tensors, name)
        if not found and otherwise is not None:
            return otherwise
        expected = weights_of(training.model)
        if found.keys() != expected.keys():
            raise ValueError(f"{name} of another model")
        return {name: _like(tensor, expected[name]).to(training.model.device) for name, tensor in found.items()}

    def _state(self, training: TrainingState) -> State | None:
        if training.settings.partitioning == "random":
            return None
        parts = parts_of(training.model.begin_state(training.settings.rows))
        return state_of(_like(self._tensors[f"epoch/state/{i}"], part).to(part.device) for i, part in enumerate(parts))


def save_checkpoint(path: Path, training: TrainingState, corpus: dict[str, Any], source: dict[str, Any]) -> None:
    """Writes a run between two steps to a file. Raises OSError where that fails."""
    tensors = {f"weights/{name}": tensor for name, tensor in weights_of(training.model).items()}
    if training.progress is not None:
        tensors |= {f"last_good/{name}": tensor for name, tensor in training.last_good.items()}
    if training.best is not None and training.best is not training.last_good:
        tensors |= {f"best/{name}": tensor for name, tensor in training.best.items()}
    for index, state in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items() if value is not None}
    tensors |= {f"history/{name}": column for name, column in _columns(training.history).items()}
    tensors |= {"random/global": training.random_state, "random/epoch": training.epoch_began_with}
    tensors |= {f"random/others/{rank}": state for rank, state in enumerate(training.other_random_states, 1)}
    if training.progress is not None:
        tensors["epoch/total_loss"] = training.progress.total_loss
        parts = () if training.progress.state is None else parts_of(training.progress.state)
        tensors |= {f"epoch/state/{i}": part for i, part in enumerate(parts)}
    facts = {
        "model": training.model.disassemble()[0],
        "training": asdict(training.settings),
        "corpus": corpus,
        "source": source,
        "steps": training.steps,
        "epoch": {
            "done": training.progress.done if training.progress else 0,
            "num_batches": training.progress.num_batches if training.progress else 0,
        },
        "seconds": training.seconds,
        "epoch_seconds": training.epoch_seconds,
        "made_with": made_with(),
    }
    write_checkpoint(path, facts, tensors)


def made_with() -> dict[str, str]:
    """What the last bits of a run depend on: versions, and what computes."""
    return {"charloom": __version__, "torch": torch.__version__, "recurrence": backend().describe()}


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors below a name."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """A copy of the tensor, if it has the pattern's shape and kind: training writes in place."""
    if tensor.shape != pattern.shape or tensor.dtype != pattern.dtype:
        raise ValueError(
            f"a tensor is {tensor.dtype} {tuple(tensor.shape)}, not {pattern.dtype} {tuple(pattern.shape)}"
        )
    return tensor.clone()


def _optimizer_state(found: dict[str, Tensor], training: TrainingState) -> dict[int, dict[str, Tensor]]:
    """Returns the state for ``Optimizer.load_state_dict``: all that such an optimizer keeps of each parameter."""
    if not found:
        return {}
    pattern = state_pattern(training.settings)
    return {
        index: {
            name: _like(found[f"{index}/{name}"], parameter.detach()) if dims else _step_count(found[f"{index}/{name}"])
            for name, dims in pattern.items()
        }
        for index, parameter in enumerate(training.optimizer.param_groups[0]["params"])
    }


def _step_count(step: Tensor) -> Tensor:
    """A copy of an optimizer's count, whose dtype depends on PyTorch's default when the run began."""
    if step.dim() or not step.is_floating_point() or not 0 <= float(step) <= _LARGEST:
        raise ValueError("no count of steps")
    return step.clone()


_FIELDS = ("perplexity", "validation_perplexity", "seconds", "chars_per_second")


def _columns(history: History) -> dict[str, Tensor]:
    """The records, exactly; validation is left out where there is none."""
    columns = {name: [getattr(record, name) for record in history] for name in _FIELDS}
    return {
        name: torch.tensor(values, dtype=torch.float64)
        for name, values in columns.items()
        if values and None not in values
    }


def _history_of(columns: dict[str, Tensor]) -> History:
    if not columns:
        return History()
    validation = columns.get("validation_perplexity")
    needed = [columns[name] for name in _FIELDS if name != "validation_perplexity"]
    pattern = torch.zeros(len(needed[0]), dtype=torch.float64)
    lists = [_like(column, pattern).tolist() for column in needed]
    validated = [None] * len(pattern) if validation is None else _like(validation, pattern).tolist()
    return History(
        [
            EpochRecord(epoch, perplexity, value, seconds, speed)
            for epoch, (perplexity, value, seconds, speed) in enumerate(
                zip(lists[0], validated, lists[1], lists[2], strict=True), 1
            )
        ]
    )


def _texts_of(table: Any, *names: str) -> dict[str, str]:
    found = {name: table[name] for name in names}
    if not all(isinstance(value, str) for value in found.values()):
        raise TypeError(f"{', '.join(names)} must be texts")
    return found


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r:.50} is no count")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r:.50} is no time")
    return float(value) if math.isfinite(value) else 0.0
