"""A run that is interrupted and resumed, any number of times, equals the uninterrupted run."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charloom import (
    CharloomError,
    CheckpointError,
    CheckpointFolder,
    SettingsError,
    TrainingDivergedError,
    newest_checkpoint,
    train,
)
from charloom.errors import Argument
from charloom.recurrence.backend import backend
from charloom.training.checkpoints.resumption import describe_end
from charloom.training.events import EpochEnded, Event, StepEnded, StopTraining, ValidationAdvanced
from examples import examples
from interrupted_runs import KINDS, assert_same, corpus_of, settings_of_kind, train_or_resume
from native import Switch

pytestmark = pytest.mark.filterwarnings("ignore:validation perplexity was best")
_FABLE = "A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. "
_TEXT = _FABLE * 5 + _FABLE[::-1]
"""The held-out part is another language."""


class _StopAt:
    """Stops a run at its event of this number, from 1; events within a validation, which is repeated, do not count."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, event: Event) -> None:
        self.left -= not isinstance(event, ValidationAdvanced)
        if not self.left:
            raise StopTraining


def _interruptions() -> Iterator[Any]:
    """Yields a kind of run, a backend, and the number of steps after which the run is stopped again and again.

    An epoch has 11 steps or more: runs that are stopped every 5 or 7 steps are stopped at many places of their epochs.
    """
    for i, kind in enumerate(KINDS):
        yield kind, "auto", 1 if kind == "dropout" else 5
        yield kind, ("reference", "pytorch")[i % 2], 7
        yield pytest.param(kind, ("pytorch", "reference")[i % 2], 7, marks=pytest.mark.slow)
        if kind != "dropout":
            yield pytest.param(kind, "auto", 1, marks=pytest.mark.slow)


@pytest.mark.parametrize(("kind", "path", "every"), list(_interruptions()))
def test_stopped_and_resumed(kind: str, path: str, every: int, tmp_path: Path, compute_by: Switch) -> None:
    """Again and again, on every backend: in the middle of epochs, and at their ends."""
    compute_by(path)
    corpus = corpus_of(_TEXT)
    expected = train_or_resume(kind, corpus, tmp_path / "whole")
    resumptions = 0
    while True:
        found = train_or_resume(kind, corpus, tmp_path / "again", _StopAt(every))
        if newest_checkpoint(tmp_path / "again").steps == newest_checkpoint(tmp_path / "whole").steps:
            break
        resumptions += 1
    assert resumptions >= 20 / every
    found = train_or_resume(kind, corpus, tmp_path / "again")
    assert_same(*found, *expected)


@settings(max_examples=examples(6))
@given(kind=st.sampled_from(sorted(KINDS)), stops=st.lists(st.integers(1, 40), min_size=1, max_size=5), data=st.data())
def test_lost_and_resumed(kind: str, stops: list[int], data: st.DataObject, tmp_path_factory: Any) -> None:
    """The run ends as by a power failure: steps after the last checkpoint are repeated."""
    folder = tmp_path_factory.mktemp("runs")
    corpus = corpus_of(_TEXT)
    every = data.draw(st.integers(1, 9))
    expected = train_or_resume(kind, corpus, folder / "whole", checkpoint_steps=every)
    for number in stops:
        with pytest.MonkeyPatch.context() as patch:
            seen = 0

            def fail(event: Event, number: int = number, patch: pytest.MonkeyPatch = patch) -> None:
                nonlocal seen
                seen += isinstance(event, StepEnded)
                if seen == number:
                    patch.setattr(CheckpointFolder, "write", lambda *_: None)
                    raise StopTraining

            train_or_resume(kind, corpus, folder / "again", fail, checkpoint_steps=every)
    found = train_or_resume(kind, corpus, folder / "again", checkpoint_steps=every)
    assert_same(*found, *expected)


def test_listeners_get_every_step_once(tmp_path: Path) -> None:
    corpus = corpus_of(_TEXT)
    whole: list[tuple[int, float, float]] = []
    parts: list[tuple[int, float, float]] = []

    def keep(seen: list[tuple[int, float, float]]) -> Any:
        def listen(event: Event) -> None:
            if isinstance(event, StepEnded):
                seen.append((event.epoch, event.fraction, float(event.mean_loss)))

        return listen

    train_or_resume("dropout", corpus, tmp_path / "whole", keep(whole))
    for number in (5, 9, 1, 2, 10**9):
        train_or_resume("dropout", corpus, tmp_path / "again", keep(parts), _StopAt(number))
    assert parts == whole


def test_trained_longer(tmp_path: Path) -> None:
    """A run of two epochs that is resumed for two more equals a run of four; changes of how it ends are reported."""
    corpus = corpus_of(_TEXT)
    expected = train_or_resume("the section's", corpus, tmp_path / "four", epochs=4)
    train_or_resume("the section's", corpus, tmp_path / "two", epochs=2)
    checkpoint = newest_checkpoint(tmp_path / "two")
    end = describe_end(checkpoint, checkpoint.settings)
    assert end == ("the run ended after 2 epochs; to train longer, add ", Argument("epochs", 4))
    assert describe_end(checkpoint, dataclasses.replace(checkpoint.settings, epochs=4)) is None
    _, history = train_or_resume("the section's", corpus, tmp_path / "two", epochs=2)
    assert len(history) == 2
    found = train_or_resume("the section's", corpus, tmp_path / "two", epochs=4)
    assert_same(*found, *expected)


def test_patience_that_ran_out_is_raised(tmp_path: Path) -> None:
    corpus = corpus_of(_TEXT)
    expected = train_or_resume("patience", corpus, tmp_path / "four", patience=4)
    _, short = train_or_resume("patience", corpus, tmp_path / "two", patience=2)
    checkpoint = newest_checkpoint(tmp_path / "two")
    assert Argument("patience", 4) in (describe_end(checkpoint, checkpoint.settings) or ())
    found = train_or_resume("patience", corpus, tmp_path / "two", patience=4)
    assert len(short) < len(found[1])
    assert_same(*found, *expected)


def test_the_best_weights_if_not_asked_for_at_first(tmp_path: Path) -> None:
    """Every checkpoint has the weights of the best validation."""
    corpus = corpus_of(_TEXT)
    expected = train_or_resume("the best", corpus, tmp_path / "best")
    train_or_resume("the best", corpus, tmp_path / "last", keep_best=False)
    found = train_or_resume("the best", corpus, tmp_path / "last", keep_best=True)
    assert found[0].provenance["results"]["epoch"] < len(found[1])
    assert_same(*found, *expected)


def test_resumed_in_another_folder(tmp_path: Path) -> None:
    """The run continues there, and the original folder is unchanged."""
    corpus = corpus_of(_TEXT)
    expected = train_or_resume("dropout", corpus, tmp_path / "whole")
    train_or_resume("dropout", corpus, tmp_path / "here", _StopAt(9))
    before = {file: file.read_bytes() for file in (tmp_path / "here" / "checkpoints").iterdir()}
    checkpoint = newest_checkpoint(tmp_path / "here")
    model = checkpoint.make_model()
    history = train(model, corpus, resume=checkpoint, checkpoints=CheckpointFolder(tmp_path / "there"))
    assert_same(model, history, *expected)
    assert {file: file.read_bytes() for file in (tmp_path / "here" / "checkpoints").iterdir()} == before
    assert newest_checkpoint(tmp_path / "there").steps > checkpoint.steps
    # Resuming does not change the checkpoint.
    again = checkpoint.make_model()
    assert_same(again, train(again, corpus, resume=checkpoint), *expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 5},
        {"num_steps": 9},
        {"optimizer": "sgd"},
        {"partitioning": "random"},
        {"seed": 1},
        {"validation_fraction": 0.25},
        {"weight_decay": 0.5},
        {"schedule": "constant"},
        {"epochs": 5},  # its schedule is a cosine
        pytest.param(
            {"precision": "bfloat16"}, marks=pytest.mark.skipif(backend().kernels is None, reason="no kernels")
        ),
    ],
)
def test_changes_that_are_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    corpus = corpus_of(_TEXT)
    train_or_resume("dropout", corpus, tmp_path, _StopAt(9))
    (name,) = changes
    with pytest.raises(SettingsError, match=f"^{name} is .*; omit this setting, or start a new run"):
        train_or_resume("dropout", corpus, tmp_path, **changes)
    assert newest_checkpoint(tmp_path).steps == 9


def test_another_text_is_refused(tmp_path: Path) -> None:
    train_or_resume("random order", corpus_of(_TEXT), tmp_path, _StopAt(9))
    swapped = _TEXT.replace("fox", "xof")
    with pytest.raises(
        CheckpointError, match=r"the same number of tokens \(468\), but different ones.*start a new run"
    ):
        train_or_resume("random order", corpus_of(swapped), tmp_path)
    with pytest.raises(CharloomError, match=r"it has 936 tokens, not 468"):
        train_or_resume("random order", corpus_of(_TEXT * 2), tmp_path)


def test_a_diverging_run_names_the_checkpoint_to_resume_from(tmp_path: Path) -> None:
    """It is from before the divergence, and a lower learning rate continues from there."""
    corpus = corpus_of(_TEXT)

    def break_it(event: Event) -> None:
        if isinstance(event, StepEnded) and (event.epoch, round(event.fraction * 11)) == (2, 8):
            with torch.no_grad():
                models[0].output.weight.fill_(math.nan)

    models: list[Any] = []
    _, settings = settings_of_kind("random order", checkpoint_steps=3)
    train_or_resume("random order", corpus, tmp_path, _StopAt(1), checkpoint_steps=3)
    checkpoint = newest_checkpoint(tmp_path)
    models[:] = [checkpoint.make_model()]
    with pytest.raises(
        TrainingDivergedError, match=r"epoch 2: lower learning_rate.*step-00000000\d\d\.checkpoint"
    ) as e:
        train(
            models[0], corpus, settings, listeners=[break_it], checkpoints=CheckpointFolder(tmp_path), resume=checkpoint
        )
    good = newest_checkpoint(tmp_path)
    assert good.path.name in str(e.value)
    assert good.position in str(e.value)
    assert all(tensor.isfinite().all() for tensor in good.make_model().state_dict().values())
    _, history = train_or_resume("random order", corpus, tmp_path, learning_rate=0.001, checkpoint_steps=3)
    assert len(history) == settings.epochs
    assert all(math.isfinite(record.perplexity) for record in history)


def test_a_failing_listener_costs_no_step(tmp_path: Path) -> None:
    """Whatever ends a run between two steps, it can be resumed there."""
    corpus = corpus_of(_TEXT)

    def fail(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.record.epoch == 2:
            raise OSError(32, "Broken pipe")

    expected = train_or_resume("dropout", corpus, tmp_path / "whole")
    with pytest.raises(OSError, match="Broken pipe"):
        train_or_resume("dropout", corpus, tmp_path / "again", fail)
    assert newest_checkpoint(tmp_path / "again").position == "the end of epoch 2"
    assert_same(*train_or_resume("dropout", corpus, tmp_path / "again"), *expected)


def test_other_kernels_are_reported(tmp_path: Path, compute_by: Switch) -> None:
    from charloom.training.checkpoints.resumption import describe_differences

    train_or_resume("random order", corpus_of(_TEXT), tmp_path, _StopAt(2))
    checkpoint = newest_checkpoint(tmp_path)
    assert describe_differences(checkpoint) == ""
    compute_by("reference")
    assert describe_differences(checkpoint).startswith("recurrence reference (the equations, step by step) instead of ")


def test_stopped_within_a_validation(tmp_path: Path) -> None:
    """The validation is repeated."""
    corpus = corpus_of(_TEXT)
    expected = train_or_resume("the best", corpus, tmp_path / "whole")
    seen: list[float] = []

    def stop(event: Event) -> None:
        if isinstance(event, ValidationAdvanced) and event.epoch == 3:
            seen.append(event.fraction)
            raise StopTraining

    train_or_resume("the best", corpus, tmp_path / "again", stop)
    assert seen
    assert len(newest_checkpoint(tmp_path / "again").history) == 2
    assert_same(*train_or_resume("the best", corpus, tmp_path / "again"), *expected)


def test_fewer_epochs_than_were_started_are_those_that_ended(tmp_path: Path) -> None:
    corpus = corpus_of(_TEXT)
    short = train_or_resume("random order", corpus, tmp_path / "short", epochs=2)
    train_or_resume("random order", corpus, tmp_path / "long", _StopAt(2 * 12 + 5))
    assert newest_checkpoint(tmp_path / "long").done
    assert_same(*train_or_resume("random order", corpus, tmp_path / "long", epochs=2), *short)
