"""Output during training."""

import io
import re

import pytest
import torch
from rich.console import Console

from charloom import EpochRecord, TrainingSettings
from charloom.cli.training_display import TrainingDisplay
from charloom.training.events import EpochEnded, SampleDrawn, StepEnded


def test_the_remaining_time_is_estimated_from_epochs_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first includes imports and the first sample, which take far longer than epochs of a short text."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    out = io.StringIO()
    display = TrainingDisplay(Console(file=out, width=200), TrainingSettings(epochs=2000))
    for epoch in range(1, 400):
        for step in range(1, 4):
            now[0] += 1.9 if (epoch, step) == (1, 2) else 0.01
            display(StepEnded(epoch, step / 3, torch.tensor(1.0), 1000.0, step, 0.1, 0.5))
    (line,) = out.getvalue().splitlines()
    assert re.search(r"about 5\d seconds until the end of epoch 2,000", line), line


def test_a_line_at_each_interval_of_epochs_and_after_the_last() -> None:
    out = io.StringIO()
    display = TrainingDisplay(Console(file=out, width=200), TrainingSettings(epochs=5, report_every=2))
    for epoch in range(1, 6):
        display(EpochEnded(EpochRecord(epoch, 9.0 / epoch, 5.0, 0.5 * epoch, 100.0), 3 * epoch))
    display(SampleDrawn(5, "a fox\x1b", 15))
    assert out.getvalue().splitlines() == [
        "epoch    2, perplexity 4.500, validation 5.000, 1.0 s",
        "epoch    4, perplexity 2.250, validation 5.000, 2.0 s",
        "epoch    5, perplexity 1.800, validation 5.000, 2.5 s",
        " - a fox\\x1b",
    ]
