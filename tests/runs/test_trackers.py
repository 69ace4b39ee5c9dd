"""Records for TensorBoard are complete and without duplicates; a failure does not end a run."""

import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import (
    CharloomWarning,
    EpochRecord,
    ModelSettings,
    SettingsError,
    TensorBoard,
    TrainingSettings,
    build_model,
    corpus_from,
    train,
)
from charloom.training.events import EpochEnded, Event, SampleDrawn, StepEnded

pytest.importorskip("tensorboard")
_CORPUS = corpus_from("A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20)


def _recorded(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def _curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in _recorded(folder).Scalars(name)]


def _texts(folder: Path, name: str) -> list[tuple[int, str]]:
    points = _recorded(folder).Tensors(f"{name}/text_summary")
    return [(point.step, point.tensor_proto.string_val[0].decode()) for point in points]


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates a second between steps."""
    times = iter(range(1_000_000))
    monkeypatch.setattr("charloom.runs.trackers.time", type("", (), {"monotonic": lambda: next(times)}))


def _train(folder: Path, **settings: Any) -> list[Event]:
    events: list[Event] = []
    defaults: dict[str, Any] = {"epochs": 3, "schedule": "cosine", "validation_fraction": 0.1}
    how = TrainingSettings(batch_size=4, num_steps=10, **defaults | settings)
    model = build_model(_CORPUS.vocabulary, ModelSettings("gru", hidden_size=8))
    with TensorBoard(folder, {"cell": "gru"}) as board:
        train(model, _CORPUS, how, listeners=[events.append, board])
    return events


@pytest.mark.usefixtures("every_step")
def test_curves_equal_the_events(tmp_path: Path) -> None:
    events = _train(tmp_path, sample_every=1, prefix=("A fox", "The"))
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert [event.steps for event in steps] == list(range(1, len(steps) + 1))
    ends = [event for event in events if isinstance(event, EpochEnded)]
    rates = [rate for _, rate in _curve(tmp_path, "training/learning_rate")]
    assert len(rates) == len(steps)
    assert rates[-1] < max(rates) == pytest.approx(1.0, abs=0.2)  # of the cosine schedule
    assert [step for step, _ in _curve(tmp_path, "training/loss")] == [event.steps for event in steps]
    last_loss = _curve(tmp_path, "training/loss")[-1][1]
    assert math.exp(last_loss) == pytest.approx(ends[-1].record.perplexity, rel=1e-5)
    for name, field in (("training", "perplexity"), ("validation", "validation_perplexity")):
        expected: list[Any] = [(end.steps, pytest.approx(getattr(end.record, field), rel=1e-6)) for end in ends]
        assert _curve(tmp_path, f"perplexity/{name}") == expected
    assert [end.steps for end in ends] == [len(steps) // 3 * epoch for epoch in (1, 2, 3)]
    samples = [event.text for event in events if isinstance(event, SampleDrawn)]
    drawn = [text for _, text in _texts(tmp_path, "sample/1")]
    assert len(drawn) == 3
    assert ["".join(line[4:] + "\n" for line in text.splitlines()).rstrip("\n") for text in drawn] == [
        sample.rstrip("\n") for sample in samples[::2]
    ]
    assert "| cell | `gru` |" in _texts(tmp_path, "settings")[0][1]


def test_one_point_a_second(tmp_path: Path) -> None:
    start_time = time.monotonic()
    steps = [event for event in _train(tmp_path, epochs=2) if isinstance(event, StepEnded)]
    assert 1 <= len(_curve(tmp_path, "training/loss")) <= 1 + (time.monotonic() - start_time) < len(steps)


@pytest.mark.usefixtures("every_step")
def test_a_resumed_run_hides_records_after_its_checkpoint(tmp_path: Path) -> None:
    def step(number: int, loss: float) -> StepEnded:
        return StepEnded(1, 0.5, torch.tensor(loss), 100.0, number, 0.1, 0.5)

    for first, last, loss in ((1, 30, 3.0), (21, 40, 2.0)):
        with TensorBoard(tmp_path) as board:
            for number in range(first, last + 1):
                board(step(number, loss))
        time.sleep(1.1)  # the files' names, and with them their order, have a resolution of seconds
    assert _curve(tmp_path, "training/loss") == [(n, 3.0) for n in range(1, 21)] + [(n, 2.0) for n in range(21, 41)]


def test_a_write_error_is_reported_once_and_training_continues(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    warning = r"logging to TensorBoard failed \(.*\) and is disabled for the rest of the run; training continues"
    with pytest.warns(CharloomWarning, match=warning) as notes:
        events = _train(tmp_path / "file" / "folder", epochs=2, validation_fraction=0.0)
    assert len(notes) == 1
    assert [event.record.epoch for event in events if isinstance(event, EpochEnded)] == [1, 2]


def test_a_disk_that_fills_up(small_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """TensorBoard writes in a thread of its own, whose traceback must not be printed."""

    def fill() -> None:
        with TensorBoard(small_disk) as board:
            for number in range(5000):
                board(EpochEnded(EpochRecord(number, 2.0, 3.0, 1.0, 1.0), number))

    with pytest.warns(CharloomWarning, match=r"\(No space left on device\) and is disabled") as notes:
        fill()
    assert len(notes) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_infinite_values(tmp_path: Path) -> None:
    with TensorBoard(tmp_path) as board:
        board(EpochEnded(EpochRecord(1, math.inf, None, 1.0, 1.0), 7))
    assert _curve(tmp_path, "perplexity/training") == [(7, math.inf)]
    assert "perplexity/validation" not in _recorded(tmp_path).Tags()["scalars"]


def test_a_missing_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"not installed; install it with pip install 'charloom\[tensorboard\]'"):
        TensorBoard(tmp_path)
