"""Trackers, programs that record a run; ``test_train_trackers`` runs them."""

from types import SimpleNamespace
from typing import Any

import pytest

from charloom import SettingsError
from charloom.cli import trackers


def _run(before: object, *, can_skip_training: bool = False, first: bool = True) -> Any:
    start, processes = SimpleNamespace(source={"trackers": before}), SimpleNamespace(is_rank_zero=first)
    return SimpleNamespace(start=start, can_skip_training=can_skip_training, processes=processes)


def test_a_tracker_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    trackers.check_installed(tensorboard=None, wandb=False)
    with pytest.raises(SettingsError, match=r"wandb is not installed; install it with pip install 'charloom\[wandb\]'"):
        trackers.check_installed(tensorboard=None, wandb=True)


@pytest.mark.parametrize("before", [None, {}, {"wandb": "a1"}, "nonsense", {"tensorboard": "yes"}])
def test_no_tracker_is_opened_unless_asked(before: object) -> None:
    with trackers.open_trackers(_run(before), tensorboard=None, wandb=False) as opened:
        assert opened == ([], {})


def test_a_resumed_run_reports_its_missing_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    opened = trackers.open_trackers(_run({"tensorboard": True}), tensorboard=None, wandb=False)
    with pytest.raises(SettingsError, match="the run was logged to TensorBoard, which is not installed"), opened:
        pass
    with trackers.open_trackers(_run({"tensorboard": True}), tensorboard=False, wandb=False) as others:
        assert others == ([], {})


def test_only_the_first_process_of_a_run_that_trains_records() -> None:
    for run in (_run({"tensorboard": True}, can_skip_training=True), _run({"tensorboard": True}, first=False)):
        with trackers.open_trackers(run, tensorboard=True, wandb=True) as opened:
            assert opened == ([], {})
