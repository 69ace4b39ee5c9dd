"""Checkpoints: the state of a run between two steps, in a file.

A run resumed from a checkpoint gives the result of the uninterrupted run. The tensors of a checkpoint are named:

- ``weights/``, ``last_good/``, ``best/``: the weights of the last step, of the last epoch that ended, and of the best
  epoch. ``last_good/`` is absent if it equals ``weights/``, and ``best/`` if it equals ``last_good/``.
- ``optimizer/INDEX/``: the optimizer's state of a parameter.
- ``random/RANK``: the state of PyTorch's random-number generators in each process.
- ``generator``: the state of the run's own generator at the start of the epoch, from which the offset and the order of
  the epoch's minibatches are drawn again.
- ``epoch/total_loss``, ``epoch/state/INDEX``: within an epoch, the sum of the losses and the hidden state of all
  sequences.

The layout of the file is in ``file_format``, the folder of a run's checkpoints in ``folder``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from charloom.errors import CharloomError, CheckpointError, SettingsError
from charloom.models.language_model import LanguageModel
from charloom.recurrence.backend import backend
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.settings.training import TrainingSettings
from charloom.shapes import State
from charloom.training.checkpoints.file_format import JsonObject, read_checkpoint, write_checkpoint
from charloom.training.history import EpochRecord, History
from charloom.training.processes import Processes
from charloom.training.state import TrainingState, Weights, describe_position, get_weights
from charloom.training.truncated_bptt import EpochProgress
from charloom_codec.arguments import PATH, check_type
from charloom_codec.version import __version__

_MAX_VALUE = 2**53
"""Upper bound of counts and times: a float64 represents all integers up to it exactly."""
_OPTIMIZER_STATE = {"sgd": (), "adamw": ("step", "exp_avg", "exp_avg_sq")}
"""Names of the tensors that each optimizer stores per parameter."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two steps, read from a file.

    Attributes:
        path: Path of the file.
        settings: Settings of the training loop.
        corpus: The ``identity`` of the text.
        source: Origin of the text and notes of the caller, as JSON values; empty if none were passed.
        history: Records of the epochs that ended.
        steps: Number of optimizer steps since the start of the run.
        done: Number of minibatches trained on in the epoch after ``history``.
        num_batches: Number of minibatches of that epoch; 0 if ``done`` is 0.
        made_with: Versions and kernels that the run used; with different ones, results may differ in the last bits.
    """

    path: Path
    settings: TrainingSettings
    corpus: dict[str, str | int]
    source: JsonObject
    history: History
    steps: int
    done: int
    num_batches: int
    made_with: dict[str, str]
    _metadata: JsonObject
    _tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: str | Path) -> "Checkpoint":
        """Reads a file. Raises CheckpointError if it is damaged or was written by another version."""
        check_type(PATH, path=path)
        file = Path(path)
        metadata, tensors = read_checkpoint(file)
        try:
            settings = TrainingSettings(**metadata["training"])
            # Records have a validation perplexity if, and only if, the run has a held-out part.
            validated = bool(settings.validation_fraction)
            text = metadata["corpus"]
            records = [{**values, "epoch": epoch} for epoch, values in enumerate(metadata["history"], 1)]
            return cls(
                file,
                settings,
                {
                    "name": str(text["name"]),
                    "sha256": str(text["sha256"]),
                    "num_chars": _check_count(text["num_chars"]),
                },
                dict(metadata["source"]),
                History([EpochRecord.from_dict(record, validated=validated) for record in records]),
                _check_count(metadata["steps"]),
                _check_count(metadata["done"]),
                _check_count(metadata["num_batches"]),
                {name: str(metadata["made_with"][name]) for name in describe_environment()},
                metadata,
                tensors,
            )
        # A correct checksum does not prove valid contents: a file from elsewhere may contain any JSON.
        except SettingsError as error:
            raise CheckpointError(f"{file}: damaged ({error!s:.200})") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(f"{file}: damaged, or written by another version ({error!r:.200})") from None

    @property
    def position(self) -> str:
        """Position in the run for messages: the epoch, and the minibatch in it."""
        return describe_position(len(self.history), self.done, self.num_batches)

    @torch.inference_mode(mode=False)  # tensors made in inference mode cannot be trained
    def make_model(self) -> LanguageModel:
        """Builds the model with the weights of the last step. Raises CheckpointError if the file has no valid model."""
        try:
            # Copies, since training changes the weights in place and ``restore`` reads the tensors again.
            weights = {name: tensor.clone() for name, tensor in _select(self._tensors, "weights").items()}
            return LanguageModel.from_config(self._metadata["model"], weights)
        except (CharloomError, KeyError) as error:
            raise CheckpointError(f"{self.path}: damaged ({error!s:.300})") from None

    def restore(self, training: TrainingState, processes: Processes) -> None:
        """Restores the state of a run, including PyTorch's global random state.

        If a different number of processes wrote the checkpoint, all ranks except 0 draw different random numbers.

        Args:
            training: State of a new run, with the model and the text of this checkpoint; changed in place.
            processes: Process group of the new run.

        Raises:
            CheckpointError: The checkpoint is damaged or of another model. The run is then in an undefined state.
        """
        try:
            self._restore(training, processes)
        except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            raise CheckpointError(f"{self.path}: damaged, or from another model ({error!r:.200})") from None

    def _restore(self, training: TrainingState, processes: Processes) -> None:
        tensors, device = self._tensors, training.model.device
        # Weights that the file does not contain equal those read before them: the order of these lines matters.
        weights = self._weights("weights", training, None)
        last_good = self._weights("last_good", training, weights)
        training.best = self._weights("best", training, last_good) if self.history.best else None
        training.load_weights(weights)
        training.last_good = last_good
        training.history[:] = self.history
        # Only the state is replaced: the parameter groups have the learning rate of the new settings.
        training.optimizer.load_state_dict(training.optimizer.state_dict() | {"state": self._optimizer_state(training)})
        training.epoch_start_rng_state = tensors["generator"]
        training.generator.set_state(tensors["generator"])
        training.steps = self.steps
        training.seconds, training.epoch_seconds = (
            _check_seconds(self._metadata[key]) for key in ("seconds", "epoch_seconds")
        )
        if self.done:
            # The generator has its state of the epoch's start: the epoch draws the same order and skips ``done``.
            total = _checked_copy(tensors["epoch/total_loss"], torch.zeros((), dtype=torch.float32)).to(device)
            parts = state_to_tuple(training.model.begin_state(training.settings.rows))
            # The file has the state of all sequences: each rank takes its own, whatever number of ranks wrote it.
            rows = processes.get_rows_of_rank(training.settings.rows)
            found = [
                _checked_copy(tensors[f"epoch/state/{i}"], part)[:, rows].contiguous() for i, part in enumerate(parts)
            ]
            state = tuple_to_state(part.to(device) for part in found)
            training.progress = EpochProgress(self.done, self.num_batches, total, state)
        random_states = _select(tensors, "random")
        if processes.rank == 0 or len(random_states) == processes.size:
            training.random_state = random_states[str(processes.rank)]
        else:
            # Includes the steps, so that a resumed run does not draw the dropout masks of its start again.
            torch.manual_seed(training.settings.seed + processes.rank + self.steps)

    def _weights(self, name: str, training: TrainingState, default: Weights | None) -> Weights:
        found = _select(self._tensors, name)
        if not found and default is not None:
            return default
        expected = get_weights(training.model)
        if found.keys() != expected.keys():
            raise ValueError(f"{name} does not have the same tensors as the model")
        return {name: _checked_copy(tensor, expected[name]).to(training.model.device) for name, tensor in found.items()}

    def _optimizer_state(self, training: TrainingState) -> dict[int, dict[str, Tensor]]:
        """Returns the optimizer's state in the form of ``Optimizer.load_state_dict``, by the parameter's index."""
        found = _select(self._tensors, "optimizer")
        # AdamW has no state before its first step, SGD never has one.
        names = _OPTIMIZER_STATE[training.settings.optimizer] if found else ()
        parameters = training.optimizer.param_groups[0]["params"]
        return {
            index: {
                name: _step_count(tensor) if name == "step" else _checked_copy(tensor, parameter.detach())
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
    """Writes a checkpoint of a run.

    Args:
        path: Path of the file, which is replaced if it exists.
        training: State of the run.
        state: Hidden state of all sequences, of all processes; None between epochs.
        random_states: ``TrainingState.random_state`` of each process, by rank.
        about: JSON values to store with it: ``corpus`` and ``source``.

    Raises:
        OSError: The file cannot be written.
    """
    progress = training.progress
    tensors = {f"weights/{name}": tensor for name, tensor in get_weights(training.model).items()}
    # Between epochs, the last good weights are the weights, and every sequence starts from a zero state.
    if progress is not None and state is not None:
        tensors |= {f"last_good/{name}": tensor for name, tensor in training.last_good.items()}
        tensors |= {f"epoch/state/{i}": part for i, part in enumerate(state_to_tuple(state))}
        tensors["epoch/total_loss"] = progress.total_loss
    # Compared by identity: ``end_epoch`` shares the tensors of an epoch that is the best so far.
    if training.best is not None and training.best is not training.last_good:
        tensors |= {f"best/{name}": tensor for name, tensor in training.best.items()}
    for index, kept in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in kept.items() if value is not None}
    tensors |= {f"random/{rank}": random_state for rank, random_state in enumerate(random_states)}
    # Not the generator's present state: resuming draws the epoch's offset and order again.
    tensors["generator"] = training.epoch_start_rng_state
    metadata = {
        **about,
        "model": training.model.to_config()[0],
        "training": asdict(training.settings),
        "history": [record.to_dict() for record in training.history],
        "steps": training.steps,
        "done": progress.done if progress else 0,
        "num_batches": progress.num_batches if progress else 0,
        "seconds": training.seconds,
        "epoch_seconds": training.epoch_seconds,
        "made_with": describe_environment(),
    }
    write_checkpoint(path, metadata, tensors)


def describe_environment() -> dict[str, str]:
    """Returns the versions and kernels in use, on which the last bits of a result depend."""
    return {"charloom": __version__, "torch": torch.__version__, "recurrence": backend().describe()}


def _select(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Returns the tensors whose names start with a name and a slash, without that prefix."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _checked_copy(tensor: Tensor, expected: Tensor) -> Tensor:
    """Returns a copy of the tensor. Raises ValueError if its shape or dtype is not the expected one."""
    if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
        raise ValueError(
            f"a tensor is {tensor.dtype} {tuple(tensor.shape)}, not {expected.dtype} {tuple(expected.shape)}"
        )
    return tensor.clone()  # training changes it in place, and the checkpoint may be restored again


def _step_count(step: Tensor) -> Tensor:
    """Returns a copy of an optimizer's step count. Raises ValueError if it is not one."""
    # Any floating-point dtype is valid: it is PyTorch's default dtype when the run was started.
    if step.dim() or not step.is_floating_point() or not 0 <= float(step) <= _MAX_VALUE:
        raise ValueError("the step count is not valid")
    return step.clone()


def _check_count(value: object) -> int:
    # Not isinstance: a bool is an int to it.
    if type(value) is not int or not 0 <= value <= _MAX_VALUE:
        raise ValueError(f"{value!r:.50} is not a valid count")
    return value


def _check_seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value <= _MAX_VALUE:
        raise ValueError(f"{value!r:.50} is not a valid time")
    return float(value)
