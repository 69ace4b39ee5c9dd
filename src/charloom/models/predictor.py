"""The protocol of a model that predicts the next token, and the context in which it predicts.

Generation and evaluation use a model only through this protocol; tests pass a fake with known probabilities.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from charloom.errors import Argument, InputError
from charloom.recurrence.native_generator import NativeGenerator
from charloom.recurrence.threads import use_threads
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import Ids, Logits, State, StepIds, StepLogits
from charloom.text.vocabulary import Vocabulary

TRAIN_AGAIN = (
    "train again with a lower ",
    Argument("learning_rate"),
    ", or a lower ",
    Argument("clip_norm"),
    " above 0",
)
"""Remedy for weights that are not finite, or are too large to compute with."""


@runtime_checkable
class Predictor(Protocol):
    """A model that predicts the next token from the tokens before it.

    The state is an argument and a result, never an attribute. A call equals repeated calls of ``step``. A predictor is
    called as a function, not by ``forward``, because a module's hooks are part of its predictions.
    """

    @property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the token ids."""

    @property
    def device(self) -> torch.device:
        """Device of ids and logits."""

    def begin_state(self, batch_size: int) -> State:
        """Returns the state before the first token."""

    def __call__(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        """Reads token ids.

        Args:
            ids: Token ids, int64 (batch, steps).
            state: State before them; that of ``begin_state`` if None.

        Returns:
            The logits of each next token, (steps, batch, vocabulary), and the state after the last step.
        """

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        """Reads one id for each sequence, (batch,); returns logits (batch, vocabulary) and the state."""


@runtime_checkable
class GeneratingPredictor(Predictor, Protocol):
    """A predictor that can generate faster than step by step."""

    def make_generator(self, precision: GenerationPrecision) -> NativeGenerator | None:
        """Returns a generator with the model's weights; None if the native kernels do not cover the model."""


@contextlib.contextmanager
def predicting(model: Predictor) -> Iterator[None]:
    """Disables gradients and dropout, and applies ``use_threads``, within the context."""
    # inference_mode, not no_grad: without version counters, small operations are faster.
    with _in_eval_mode(model), torch.inference_mode(), use_threads():
        yield


# Several threads may predict with one model: the first to end must not restore training mode for the others.
_lock = threading.Lock()
_modes: dict[int, tuple[int, list[tuple[torch.nn.Module, bool]]]] = {}
"""Number of open contexts, and the submodules' modes before the first, by the id of each module that is predicting."""


@contextlib.contextmanager
def _in_eval_mode(model: Predictor) -> Iterator[None]:
    """Sets a module and its submodules to ``eval`` mode; the last of several contexts restores their modes."""
    if not isinstance(model, torch.nn.Module):  # a predictor need not be a module
        yield
        return
    with _lock:
        count, before = _modes.get(id(model)) or (0, [(part, part.training) for part in model.modules()])
        _modes[id(model)] = count + 1, before
        # eval() visits every submodule: that is not needed for each chunk of a text if they are in this mode.
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
                # Parents come first: train() of a module sets its submodules too, which are then set to their own mode.
                for part, training in before:
                    if part.training != training:
                        part.train(training)


def check_weights(model: Predictor) -> None:
    """Raises InputError for a module with a parameter that holds NaN or infinite values."""
    if isinstance(model, torch.nn.Module):
        check_finite(dict(model.named_parameters()))


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises InputError naming the first tensor that holds NaN or infinite values."""
    for name, tensor in tensors.items():
        # isfinite of a meta tensor has no value: the condition below would raise PyTorch's own error.
        if tensor.is_meta:
            raise InputError(f"the tensor {name} is on the meta device, which holds no values: load the weights first")
        if not tensor.detach().isfinite().all():  # an inference tensor is not differentiated
            raise InputError(
                f"the tensor {name} contains NaN or infinite values, as after a training run that diverged",
                hint=TRAIN_AGAIN,
            )
