"""The contract between a model and everything that is done with one.

Generation and evaluation see a model only through this; tests give them a fake with known probabilities.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from charloom.errors import Argument, InputError
from charloom.recurrence.kernel_calls import NativeGenerator
from charloom.recurrence.threads import use_threads
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import Ids, Logits, State, StepIds, StepLogits
from charloom.text.vocabulary import Vocabulary


@runtime_checkable
class Predictor(Protocol):
    """Predicts the next token from the ones before it.

    The state is an argument and a result, never hidden in the predictor; ``step`` repeated equals a call.
    Called, and not by ``forward``: a module's hooks belong to what it predicts.
    """

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids stand for."""

    @property
    def device(self) -> torch.device:
        """Where ids are expected and logits come."""

    def begin_state(self, batch_size: int) -> State:
        """The state before anything has been read."""

    def __call__(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        """Reads ids (batch, steps); returns the logits of each next token, (steps, batch, vocabulary), and the state.

        A state of None is ``begin_state``'s.
        """

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        """Reads one id for each sequence, (batch,); returns logits (batch, vocabulary) and the state."""


@runtime_checkable
class GeneratingPredictor(Predictor, Protocol):
    """A predictor that can write faster than step by step."""

    def make_generator(self, precision: GenerationPrecision) -> NativeGenerator | None:
        """None where the fast way does not cover this model, or is not there."""


@contextlib.contextmanager
def predicting(model: Predictor) -> Iterator[None]:
    """Without gradients, with dropout off, and with ``use_threads``'s choice, for as long as the context lasts."""
    with _in_eval_mode(model), torch.inference_mode(), use_threads():
        yield


_lock = threading.Lock()
_modes: dict[int, tuple[int, list[tuple[torch.nn.Module, bool]]]] = {}
"""By id of each module that is predicting: how many contexts it is in, and each part's mode before the first."""


@contextlib.contextmanager
def _in_eval_mode(model: Predictor) -> Iterator[None]:
    """Puts a module and all its parts in ``eval`` mode, and back when the last of the threads that do so is done."""
    if not isinstance(model, torch.nn.Module):
        yield
        return
    with _lock:
        count, before = _modes.get(id(model)) or (0, [(part, part.training) for part in model.modules()])
        _modes[id(model)] = count + 1, before
        if not count and any(training for _, training in before):
            model.eval()
    try:
        yield
    finally:
        with _lock:
            count, before = _modes.pop(id(model))
            if count > 1:
                _modes[id(model)] = count - 1, before
            else:
                # Parents come first: train() of a part sets those below it, which are then set to their own mode.
                for part, training in before:
                    if part.training != training:
                        part.train(training)


def check_weights(model: Predictor) -> None:
    """Raises InputError for a module with a parameter that holds NaN or infinite values: it predicts nothing."""
    if isinstance(model, torch.nn.Module):
        check_finite(dict(model.named_parameters()))


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises InputError naming the first tensor that holds NaN or infinite values."""
    for name, tensor in tensors.items():
        if tensor.is_meta:
            raise InputError(
                f"the weights {name} are on the meta device, which holds no values: load the weights first"
            )
        if not tensor.detach().isfinite().all():  # an inference tensor is not differentiated
            raise InputError(
                f"the weights {name} hold NaN or infinite values, as after training that diverged",
                hint=("train again with a lower ", Argument("learning_rate"), " or ", Argument("clip_norm")),
            )
