"""What is shown on terminals of any width."""

import io
import re

import pytest
import torch
from rich.console import Console

from charloom import TrainingSettings
from charloom.cli import screen
from charloom.cli.training_display import TrainingDisplay
from charloom.errors import counted
from charloom.training.events import StepEnded


@pytest.mark.parametrize("columns", ["0", "1", "-5", "40", "no number"])
def test_any_width_that_a_terminal_claims(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert screen.help_console().width > 0


@pytest.mark.parametrize("width", [80, 100, 104, 200])
def test_a_bar_keeps_its_times(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    bar = screen.work_progress(console, "epoch {task.fields[epoch]}/{task.total:.0f}", figures=True)
    figures = "perplexity 20.95, validation 21.69"
    if not screen.is_narrow(console):
        figures += ", 1,016,629 char/s"
    bar.add_task("", total=300, completed=20, epoch=20, figures=figures)
    with console.capture() as captured:
        console.print(bar.get_renderable())
    (line,) = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()
    assert line.startswith("epoch 20/300 ")
    assert figures in line
    assert re.search(r"\d:\d\d:\d\d left -:--:--", line)


def test_one_and_many() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 2000)] == ["0 epochs", "1 epoch", "2,000 epochs"]


def test_the_time_that_is_told_is_of_epochs_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first come imports and the first sample, which a short text's epochs are nothing beside."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = io.StringIO()
    display = TrainingDisplay(Console(file=out, width=200), TrainingSettings(epochs=2000))
    for epoch in range(1, 400):
        for step in range(1, 4):
            now[0] += 1.9 if (epoch, step) == (1, 2) else 0.01
            display(StepEnded(epoch, step / 3, torch.tensor(1.0), 1000.0, step, 0.1))
    (told,) = out.getvalue().splitlines()
    assert re.search(r"about 5\d more seconds for 2,000 epochs", told), told
