"""Prediction runs in ``eval`` mode, then restores the mode of every part of the model."""

import contextlib
import threading
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import LanguageModel, ModelSettings, Vocabulary, build_model, evaluate
from charloom.models.predictor import predicting

_TEXT = "abcd" * 20


def _model() -> LanguageModel:
    settings = ModelSettings(hidden_size=8, num_layers=2, dropout=0.5, embedding_size=4, init_sigma=0.5)
    return build_model(Vocabulary(list("abcd")), settings)


@given(modes=st.lists(st.booleans(), min_size=5, max_size=5), fails=st.booleans())
def test_modes_are_restored(modes: list[bool], fails: bool) -> None:
    model = _model()
    expected = evaluate(model.eval(), _TEXT)
    parts = list(model.modules())
    assert len(parts) == len(modes)
    for part, training in zip(parts, modes, strict=True):
        part.training = training
    assert evaluate(model, _TEXT) == expected  # dropout is off wherever it was on
    with contextlib.suppress(KeyboardInterrupt), predicting(model):
        assert not any(part.training for part in parts)
        if fails:
            raise KeyboardInterrupt
    assert [part.training for part in parts] == modes


def test_parts_whose_change_of_mode_has_effects() -> None:
    """Low-rank adapters, for example, merge themselves into the weights in ``eval`` mode."""

    class Adapter(torch.nn.Module):
        merged = False

        def train(self, mode: bool = True) -> Any:
            self.merged = not mode
            return super().train(mode)

    model = _model()
    model.adapter = Adapter()
    with predicting(model):
        assert model.adapter.merged
    assert not model.adapter.merged


def test_threads_share_a_model() -> None:
    """The first thread to end does not enable dropout for the others."""
    model, first_is_in, first_may_end = _model(), threading.Event(), threading.Event()

    def first() -> None:
        with predicting(model):
            first_is_in.set()
            first_may_end.wait(60)

    thread = threading.Thread(target=first)
    thread.start()
    assert first_is_in.wait(60)
    with predicting(model):
        first_may_end.set()
        thread.join()
        assert not any(part.training for part in model.modules())
    assert all(part.training for part in model.modules())


@pytest.mark.parametrize("training", [False, True])
def test_nested_predictions(training: bool) -> None:
    model = _model().train(training)
    with predicting(model):
        with predicting(model):
            pass
        assert not model.training
    assert model.training == training
