"""A resumed run equals the uninterrupted one under any setting of PyTorch that the caller has enabled."""

from pathlib import Path

import pytest

from charloom import generate_samples, newest_checkpoint
from charloom.training.events import StepEnded, StopTraining
from in_turn import in_turn
from interrupted_runs import assert_same, corpus_of, train_or_resume
from native import Switch
from torch_settings import CHANGING, SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore")
_TEXT = "A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 6
_NOT_PLAIN = {"fake tensors", "allow_mutation_on_saved_tensors", *CHANGING}


def _stop(event: object) -> None:
    if isinstance(event, StepEnded) and event.steps == 9:
        raise StopTraining


@pytest.mark.parametrize(("setting", "kernels"), in_turn(sorted(SETTINGS.keys() - _NOT_PLAIN), ("auto", "pytorch")))
def test_resumed_under_a_setting(setting: str, kernels: str, tmp_path: Path, compute_by: Switch) -> None:
    compute_by(kernels)
    kind, corpus = "dropout", corpus_of(_TEXT)
    with SETTINGS[setting]():
        expected = train_or_resume(kind, corpus, tmp_path / "whole", epochs=2)
        train_or_resume(kind, corpus, tmp_path / "again", _stop, epochs=2)
        assert newest_checkpoint(tmp_path / "again").done
        found = train_or_resume(kind, corpus, tmp_path / "again", epochs=2)
        assert_same(*found, *expected)
        assert generate_samples(found[0], "A", 0, num_samples=2) == ["A", "A"]
        assert len(generate_samples(found[0], "A", 3, num_samples=2)[1]) == 4
