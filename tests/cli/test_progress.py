"""The progress bar of the library's callbacks, on a terminal, in a file and in a notebook."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from charloom import (
    InputError,
    LanguageModel,
    ModelSettings,
    TrainingSettings,
    build_model,
    corpus_from,
    evaluate,
    forecasting,
    show_progress,
    train,
)
from charloom.cli import progress as module
from charloom.sweeps.events import SweepProgressed, SweepStarted
from charloom.training.events import SavingStarted, StepEnded, ValidationAdvanced
from charloom_codec.cli import screen
from html_fragments import show

_CORPUS = corpus_from("a fox and a dog\n" * 40, name="made")


@pytest.fixture
def model() -> LanguageModel:
    return build_model(_CORPUS.vocabulary, ModelSettings("gru", hidden_size=4))


class _Cell:
    """Stands for the output of a notebook's cell, and for IPython."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def get_ipython(self) -> "_Cell":
        return self

    kernel = None

    def update(self, bar: Any) -> None:
        self.shown.append(bar)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> _Cell:
    """Returns a cell that shows each call."""
    cell = _Cell()
    monkeypatch.setattr(module, "_open_cell", lambda description: cell)  # noqa: ARG005 - as it is called
    monkeypatch.setattr(module, "_REFRESHES_PER_SECOND", 1e9)
    return cell


def _step(share: float) -> StepEnded:
    return StepEnded(3, 0.5, torch.tensor(1.0), 9.0, 7, 0.1, share)


def test_callbacks_of_every_kind(cell: _Cell) -> None:
    with show_progress("<work>") as report:
        report(_step(0.25))
        report(SweepProgressed(0.5))
        report(0.75)
        report(3, 4)
        report(1234, None)
        report(0, 0)
        for event in (SweepStarted(0, 1, 1, 1), ValidationAdvanced(1, 0.5), SavingStarted()):
            report(event)
    shown = ["25% epoch 3, perplexity 2.72", "50%", "75%", "75%", "1,234", "0"]
    assert list(map(repr, cell.shown)) == [f"<work>: {text}" for text in shown]
    assert 'value="0.2500"' in show(cell.shown[0])
    assert "value" not in show(cell.shown[4])


def test_functions_of_the_library(cell: _Cell, model: LanguageModel) -> None:
    with show_progress() as report:
        train(model, _CORPUS, TrainingSettings(epochs=2, batch_size=4, validation_fraction=0.2), listeners=[report])
        assert repr(cell.shown[-1]).startswith("progress: 100% epoch 2, perplexity ")
        evaluate(model, "a fox", progress=report)
        forecasting.fit(np.arange(40.0), horizon=2, progress=report)
    assert all(show(bar) for bar in cell.shown)


def test_calls_in_quick_succession_are_skipped_except_the_last(cell: _Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REFRESHES_PER_SECOND", 1e-9)
    with show_progress() as report:
        for number in range(1, 1001):
            report(number, 1000)
    assert list(map(repr, cell.shown)) == ["progress: 0%", "progress: 100%"]


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=100, record=True)
    monkeypatch.setattr(screen, "messages", lambda: console)
    with show_progress("[work]") as report:
        report(_step(0.25))
        report(1.0)
    text = console.export_text()
    assert "[work]" in text
    assert "100%" in text


def test_a_file_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress() as report:
        report(0.5)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize("ipython", [None, "terminal"])
def test_other_shells_have_no_cell(ipython: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def get_ipython(self) -> object:
            return object()

    monkeypatch.setitem(sys.modules, "IPython", Terminal() if ipython else None)
    assert module._open_cell("") is None


def test_a_wrong_description_is_refused_at_once() -> None:
    with pytest.raises(InputError):
        show_progress(3)  # type: ignore[arg-type]
