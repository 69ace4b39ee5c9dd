"""A checkpoint: a run between two steps, in a file. Going on from it gives what going on without it would have given.

Tensors, by name:

- ``weights/``, ``last_good/``, ``best/``: those of the run; the latter two only if they are not the former.
- ``optimizer/INDEX/``: the optimizer's state of a parameter.
- ``random/RANK``: PyTorch's random state in each process; ``generator``: the run's generator as the epoch began, from
  which the epoch's offset and order are drawn again.
- ``epoch/total_loss``, ``epoch/state/INDEX``: within an epoch, the sum of losses and the state of all lanes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from charloom.arguments import PATH, check_type
from charloom.errors import CharloomError, CheckpointError, SettingsError
from charloom.models.language_model import LanguageModel
from charloom.recurrence.backend import backend
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.settings.training import TrainingSettings
from charloom.shapes import State
from charloom.training.checkpoints.file_format import Facts, read_checkpoint, write_checkpoint
from charloom.training.history import EpochRecord, History
from charloom.training.processes import Processes
from charloom.training.state import TrainingState, Weights, describe_position, weights_of
from charloom.training.truncated_bptt import EpochProgress
from charloom.version import __version__

_MAX_VALUE = 2**53
"""Of a count of steps: beyond, floats no longer tell neighbours apart."""
_OPTIMIZER_STATE = {"sgd": (), "adamw": ("step", "exp_avg", "exp_avg_sq")}
"""The tensors that each optimizer keeps of a parameter, by name."""


@dataclass(frozen=True)
class Checkpoint:
    """A run as it was between two steps, read from a file.

    Attributes:
        path: The file.
        settings: Of the run.
        corpus: The ``identity`` of its text.
        source: Where its text came from, if the command line said; see ``training.resumption``.
        history: Its epochs so far.
        steps: Minibatches trained on, in all.
        done: Minibatches trained on of the epoch after those.
        num_batches: Minibatches of that epoch, if one of it is done.
        made_with: Versions and kernels; with others, the last bits may differ.
    """

    path: Path
    settings: TrainingSettings
    corpus: dict[str, str | int]
    source: Facts
    history: History
    steps: int
    done: int
    num_batches: int
    made_with: dict[str, str]
    _facts: Facts
    _tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: str | Path) -> "Checkpoint":
        """Reads a file. Raises CheckpointError for one that is damaged, or that another version wrote."""
        check_type(PATH, path=path)
        file = Path(path)
        facts, tensors = read_checkpoint(file)
        try:
            settings = TrainingSettings(**facts["training"])
            validated = bool(settings.validation_fraction)
            text = facts["corpus"]
            records = [{**values, "epoch": epoch} for epoch, values in enumerate(facts["history"], 1)]
            return cls(
                file,
                settings,
                {"name": str(text["name"]), "sha256": str(text["sha256"]), "num_chars": _count(text["num_chars"])},
                dict(facts["source"]),
                History([EpochRecord.from_dict(record, validated=validated) for record in records]),
                _count(facts["steps"]),
                _count(facts["done"]),
                _count(facts["num_batches"]),
                {name: str(facts["made_with"][name]) for name in made_with()},
                facts,
                tensors,
            )
        except SettingsError as error:
            raise CheckpointError(f"{file}: damaged ({error!s:.200})") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{file}: damaged, or of another version ({error!r:.200})") from None

    @property
    def place(self) -> str:
        """In words: the epoch, and the minibatch in it."""
        return describe_position(len(self.history), self.done, self.num_batches)

    @torch.inference_mode(mode=False)  # in which the model could not be trained
    def make_model(self) -> LanguageModel:
        """The model, with the weights of the last step. Raises CheckpointError if there is none in the file."""
        try:
            weights = {name: tensor.clone() for name, tensor in _part(self._tensors, "weights").items()}
            return LanguageModel.from_config(self._facts["model"], weights)
        except (CharloomError, KeyError) as error:
            raise CheckpointError(f"{self.path}: damaged ({error!s:.300})") from None

    def restore(self, training: TrainingState, processes: Processes) -> None:
        """Puts a run that has just begun, of the same model and text, to where this one was.

        PyTorch's global random state is restored too. If another number of processes wrote the checkpoint, all but the
        first draw other random numbers. Raises CheckpointError, with the run in no defined state, for what is not this
        run's.
        """
        try:
            self._restore(training, processes)
        except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise CheckpointError(f"{self.path}: damaged, or of another model ({error!r:.200})") from None

    def _restore(self, training: TrainingState, processes: Processes) -> None:
        tensors, device = self._tensors, training.model.device
        weights = self._weights("weights", training, None)
        last_good = self._weights("last_good", training, weights)
        training.best = self._weights("best", training, last_good) if self.history.best else None
        training.put_weights(weights)
        training.last_good = last_good
        training.history[:] = self.history
        training.optimizer.load_state_dict(training.optimizer.state_dict() | {"state": self._optimizer_state(training)})
        training.epoch_began_with = tensors["generator"]
        training.generator.set_state(tensors["generator"])
        training.steps = self.steps
        training.seconds, training.epoch_seconds = (_seconds(self._facts[key]) for key in ("seconds", "epoch_seconds"))
        if self.done:
            total = _like(tensors["epoch/total_loss"], torch.zeros((), dtype=torch.float32)).to(device)
            parts = state_to_tuple(training.model.begin_state(training.settings.rows))
            lanes = processes.rows_of_rank(training.settings.rows)
            found = [_like(tensors[f"epoch/state/{i}"], part)[:, lanes].contiguous() for i, part in enumerate(parts)]
            state = tuple_to_state(part.to(device) for part in found)
            training.progress = EpochProgress(self.done, self.num_batches, total, state)
        random_states = _part(tensors, "random")
        if processes.rank == 0 or len(random_states) == processes.size:
            training.random_state = random_states[str(processes.rank)]
        else:
            torch.manual_seed(training.settings.seed + processes.rank + self.steps)

    def _weights(self, name: str, training: TrainingState, otherwise: Weights | None) -> Weights:
        found = _part(self._tensors, name)
        if not found and otherwise is not None:
            return otherwise
        expected = weights_of(training.model)
        if found.keys() != expected.keys():
            raise ValueError(f"{name} of another model")
        return {name: _like(tensor, expected[name]).to(training.model.device) for name, tensor in found.items()}

    def _optimizer_state(self, training: TrainingState) -> dict[int, dict[str, Tensor]]:
        """Returns the state for ``Optimizer.load_state_dict``: all that such an optimizer keeps of each parameter."""
        found = _part(self._tensors, "optimizer")
        names = _OPTIMIZER_STATE[training.settings.optimizer] if found else ()
        parameters = training.optimizer.param_groups[0]["params"]
        return {
            index: {
                name: _step_count(tensor) if name == "step" else _like(tensor, parameter.detach())
                for name, tensor in ((name, found[f"{index}/{name}"]) for name in names)
            }
            for index, parameter in enumerate(parameters)
            if names
        }


def save_checkpoint(
    path: Path,
    training: TrainingState,
    state: State | None,
    random_states: Sequence[Tensor],
    about: Mapping[str, object],
) -> None:
    """Writes a run with the state of all lanes and the random states of all processes. Raises OSError if that fails."""
    progress = training.progress
    tensors = {f"weights/{name}": tensor for name, tensor in weights_of(training.model).items()}
    if progress is not None and state is not None:
        tensors |= {f"last_good/{name}": tensor for name, tensor in training.last_good.items()}
        tensors |= {f"epoch/state/{i}": part for i, part in enumerate(state_to_tuple(state))}
        tensors["epoch/total_loss"] = progress.total_loss
    if training.best is not None and training.best is not training.last_good:
        tensors |= {f"best/{name}": tensor for name, tensor in training.best.items()}
    for index, kept in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in kept.items() if value is not None}
    tensors |= {f"random/{rank}": random_state for rank, random_state in enumerate(random_states)}
    tensors["generator"] = training.epoch_began_with
    facts = {
        **about,
        "model": training.model.to_config()[0],
        "training": asdict(training.settings),
        "history": [record.to_dict() for record in training.history],
        "steps": training.steps,
        "done": progress.done if progress else 0,
        "num_batches": progress.num_batches if progress else 0,
        "seconds": training.seconds,
        "epoch_seconds": training.epoch_seconds,
        "made_with": made_with(),
    }
    write_checkpoint(path, facts, tensors)


def made_with() -> dict[str, str]:
    """Versions and kernels, on which the last bits of a run depend."""
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


def _step_count(step: Tensor) -> Tensor:
    """A copy of an optimizer's count, whose dtype depends on PyTorch's default when the run began."""
    if step.dim() or not step.is_floating_point() or not 0 <= float(step) <= _MAX_VALUE:
        raise ValueError("no count of steps")
    return step.clone()


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_VALUE:
        raise ValueError(f"{value!r:.50} is no count")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= _MAX_VALUE:
        raise ValueError(f"{value!r:.50} is no time")
    return float(value)
