"""Settings that the text or the machine does not allow are refused before training."""

import os

import pytest

from charloom import SettingsError, TrainingSettings
from charloom.training.run_checks import check_run, compute_training_length
from native import switching

_SETTINGS = TrainingSettings(batch_size=4, num_steps=10, device="cpu")
_LENGTH = 100


def _with(**changes: object) -> TrainingSettings:
    return TrainingSettings(**vars(_SETTINGS) | changes)


def test_the_reference_backend_refuses_bfloat16() -> None:
    settings = _with(threads=1, precision="bfloat16", validation_fraction=0.5)
    with switching() as switch:
        switch("pytorch")
        check_run(settings, _LENGTH)
        switch("reference")
        with pytest.raises(SettingsError, match="the reference backend supports float32 only"):
            check_run(settings, _LENGTH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 10}, "the training text has 100 tokens"),
        ({"validation_fraction": 0.6}, "the training text has 40 tokens"),
        (
            {"validation_fraction": 0.01},
            "only 1 of 100 tokens would be held out, and at least 2 are needed; increase it, set it to 0, or use more",
        ),
        ({"threads": 1024}, f"threads is 1024: it must be at most {os.cpu_count()}, the number of cores"),
        ({"device": "meta"}, "device is 'meta': it cannot be used"),
    ],
)
def test_a_run_that_is_not_possible(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_run(_with(**changes), _LENGTH)


def test_the_device_of_a_process_counts() -> None:
    check_run(_with(device="meta"), _LENGTH, "cpu")
    with pytest.raises(SettingsError, match="device is 'meta': it cannot be used"):
        check_run(_SETTINGS, _LENGTH, "meta")


@pytest.mark.parametrize(("fraction", "length"), [(0, 100), (0.02, 98), (0.029, 98), (0.25, 75)])
def test_the_end_is_held_out(fraction: float, length: int) -> None:
    assert compute_training_length(100, _with(validation_fraction=fraction)) == length
