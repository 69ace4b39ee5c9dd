"""The folder of a sweep: its refusals come before any training."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charloom import (
    CorpusSettings,
    ModelFolderError,
    ModelSettings,
    Recipe,
    SettingsError,
    TrainingSettings,
    sweep,
)
from forked_workers import workers_forked

_RECIPE = Recipe(
    CorpusSettings(),
    ModelSettings(hidden_size=8),
    TrainingSettings(batch_size=4, num_steps=10, epochs=1, validation_fraction=0.1, device="cpu"),
)
_TEXT = "A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text and a sweep of one run."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "text.txt").write_text(_TEXT, encoding="utf-8")
    with workers_forked():
        assert len(sweep(folder / "text.txt", {"dropout": [0.1]}, _RECIPE, output=folder / "out").runs) == 1
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder of ``made``."""
    return Path(shutil.copytree(made, tmp_path / "home"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"epochs": 4},
            r"uses epochs 1, not 4; choose another folder with output, or pass vary=\{'epochs': \[1, 4\]\}",
        ),
        ({"tied_output": True, "embedding_size": 8}, "uses embedding_size none, not 8"),
        ({"max_chars": 900}, "uses max_chars none, not 900"),
        ({"threads": 2}, "uses threads 1, not 2"),
    ],
)
def test_other_settings_in_the_same_folder(change: dict[str, Any], message: str, home: Path) -> None:
    before = (home / "out" / "sweep.json").read_bytes()
    with pytest.raises(SettingsError, match=message):
        sweep(home / "text.txt", {"dropout": [0.1]}, _RECIPE.with_changes(change), output=home / "out")
    assert (home / "out" / "sweep.json").read_bytes() == before
    # Changes that affect no run are allowed.
    shown = _RECIPE.with_changes({"report_every": 2, "prefix": ("It",)})
    assert len(sweep(home / "text.txt", {"dropout": [0.1]}, shown, output=home / "out").runs) == 1


def test_another_text_in_the_same_folder(home: Path) -> None:
    file = home / "text.txt"
    text = file.read_text(encoding="utf-8")
    (home / "same.txt").write_text(text, encoding="utf-8")
    assert len(sweep(home / "same.txt", {"dropout": [0.1]}, _RECIPE, output=home / "out").runs) == 1
    file.write_text(text + "more", encoding="utf-8")
    for vary in ({"dropout": [0.1]}, {"dropout": [0.9]}):
        with pytest.raises(
            SettingsError, match=r"trained on a text other than text\.txt, or that text has since changed"
        ):
            sweep(file, vary, _RECIPE, output=home / "out")
    (home / "other.txt").write_text(text * 2, encoding="utf-8")
    with pytest.raises(SettingsError, match="a text other than"):
        sweep(home / "other.txt", {"max_chars": [900]}, _RECIPE, output=home / "out")


def _not_json(out: Path) -> None:
    (out / "sweep.json").write_text("{")


def _no_settings(out: Path) -> None:
    data = json.loads((out / "sweep.json").read_text())
    data["fixed"]["hidden_size"] = -1
    (out / "sweep.json").write_text(json.dumps(data))


def _later(out: Path) -> None:
    (out / "sweep.json").write_text('{"format_version": 9}')


def _truncated_run(out: Path) -> None:
    (run,) = (out / "runs").glob("*/run.json")
    run.write_bytes(run.read_bytes()[:100])


def _history_gone(out: Path) -> None:
    (history,) = (out / "runs").glob("*/history.jsonl")
    history.unlink()


def _something_else(out: Path) -> None:
    (out / "sweep.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_not_json, "sweep.json: damaged"),
        (_no_settings, "sweep.json: damaged .*hidden_size is -1"),
        (_later, "written by a version of charloom later than"),
        (_truncated_run, "run.json: damaged .*delete its folder"),
        (_history_gone, "run.json: damaged .*delete its folder"),
        (_something_else, "is not the folder of a sweep"),
    ],
)
def test_damaged_folders(damage: Callable[[Path], None], message: str, home: Path) -> None:
    damage(home / "out")
    with pytest.raises(ModelFolderError, match=message):
        sweep(home / "text.txt", [{}], _RECIPE, output=home / "out")


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        ({"batch_size": [4, 4000]}, {}, r"a minibatch of 4000 x 10 .*\(in the combination batch_size=4000\)"),
        ({"device": ["cpu", "abacus"]}, {}, "device is 'abacus': it cannot be used"),
        ({"dropout": [0.1]}, {"num_seeds": 0}, "num_seeds is 0"),
        ({"dropout": [0.1]}, {"jobs": 0}, "jobs is 0"),
        ({"dropout": [0.1]}, {"jobs": 1.5}, "jobs is 1.5"),
    ],
)
def test_invalid_sweeps_are_refused_before_any_run(
    vary: dict[str, Any], options: dict[str, Any], message: str, made: Path
) -> None:
    with pytest.raises(SettingsError, match=message):
        sweep(made / "text.txt", vary, _RECIPE, output=made / "new", **options)
    assert not (made / "new").exists()
