"""The contract between a model and everything that is done with one.

Generation and evaluation see a model only through this; tests give them a fake with known probabilities.
"""

import contextlib
from collections.abc import Iterator
from typing import Protocol, cast, runtime_checkable

import torch

from charloom.shapes import Ids, Logits, State, StepIds, StepLogits
from charloom.text.vocabulary import Vocabulary


@runtime_checkable
class Predictor(Protocol):
    """Predicts the next token from the ones before it.

    The state is an argument and a result, never hidden in the predictor; ``step`` repeated equals ``forward``.
    """

    @property
    def vocabulary(self) -> Vocabulary:
        """What the ids stand for."""

    @property
    def device(self) -> torch.device:
        """Where ids are expected and logits come."""

    def begin_state(self, batch_size: int) -> State:
        """The state before anything has been read."""

    def forward(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        """Reads ids (batch, steps); returns the logits of each next token, (steps, batch, vocabulary), and the state.

        A state of None is ``begin_state``'s.
        """

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        """Reads one id for each sequence, (batch,); returns logits (batch, vocabulary) and the state."""


@contextlib.contextmanager
def predicting(model: Predictor) -> Iterator[None]:
    """Without gradients, and with dropout off, for as long as the context lasts."""
    training = isinstance(model, torch.nn.Module) and model.training
    if training:
        cast(torch.nn.Module, model).eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            cast(torch.nn.Module, model).train()
