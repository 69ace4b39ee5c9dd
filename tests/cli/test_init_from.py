"""``charloom train --init-from``: a new run from the weights of a model."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import charloom
from process import SMALL, call

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20
_NEW = "A quick fox: 12 zebras jump!\n" * 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with two texts and a model of the first."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "fable.txt").write_text(_TEXT, encoding="utf-8")
    (folder / "new.txt").write_text(_NEW, encoding="utf-8")
    options = [*SMALL, "--epochs", "2", "--lowercase", "--dropout", "0", "--prefix", "a fox"]
    call(folder, "train", "fable.txt", *options, "--output", "model").done()
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    """Returns a copy of the folder ``trained``."""
    return Path(shutil.copytree(trained, tmp_path, dirs_exist_ok=True))


def _load(home: Path, name: str) -> Any:
    return charloom.LanguageModel.load(home / name)


def _tuned(home: Path, *options: str, text: str = "fable.txt") -> str:
    options = ("--epochs", "1", "--batch-size", "4", "--num-steps", "10", "--prefix", "a fox", *options)
    return call(home, "train", text, "--init-from", "model", "--output", "tuned", *options).done()


def test_starts_with_the_models_weights_and_clean_up(home: Path) -> None:
    """Its sizes need not be given; a learning rate near zero leaves the weights unchanged."""
    out = _tuned(home, "--learning-rate", "1e-30")
    assert "model   GRU, 1 x 16 units" in out
    assert "run     from the weights in model, 1 epoch," in out
    model, tuned = _load(home, "model"), _load(home, "tuned")
    assert tuned.vocabulary == model.vocabulary
    assert tuned.vocabulary.clean_up.lowercase
    torch.testing.assert_close(tuned.state_dict(), model.state_dict(), rtol=1e-6, atol=1e-6)


def test_training_reduces_the_perplexity(home: Path) -> None:
    before = _load(home, "model").provenance["results"]["perplexity"]
    _tuned(home)
    assert _load(home, "tuned").provenance["results"]["perplexity"] < before


def test_a_run_from_a_model_can_be_resumed(home: Path) -> None:
    _tuned(home, "--checkpoint-steps", "1")
    out = call(home, "train", "--resume", "tuned", "--epochs", "2").done()
    assert "Trained for 2 epochs in " in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--hidden-size", "17"],
            "--hidden-size is 17: the model in model was trained with --hidden-size 16; omit this setting",
        ),
        (
            ["--embedding-size", "8"],
            "--embedding-size is 8: the model in model was trained with --embedding-size 64; omit this setting",
        ),
        (["--cell", "lstm"], "--cell is 'lstm': the model in model was trained with --cell gru; omit this setting"),
        (["--num-layers", "2"], "--num-layers is 2: "),
        (["--unit", "byte"], "--unit is 'byte': the model in model was trained with --unit char"),
        (["--no-lowercase"], "--no-lowercase: the model in model was trained with --lowercase"),
    ],
)
def test_options_that_contradict_the_model_are_refused(options: list[str], message: str, home: Path) -> None:
    assert message in call(home, "train", "fable.txt", "--init-from", "model", "--output", "tuned", *options).error(2)
    assert not (home / "tuned").exists()


def test_characters_outside_the_models_vocabulary(home: Path) -> None:
    """They are refused by name, or added without changing what the model predicts of the others."""
    message = call(home, "train", "new.txt", "--init-from", "model", "--output", "tuned").error()
    assert message.startswith("new.txt has 11 characters that the model in model lacks ('u', '!', ")
    assert message.endswith("...): use --extend-vocabulary to add them")
    out = _tuned(home, "--extend-vocabulary", "--learning-rate", "1e-30", text="new.txt")
    assert "from the weights in model, 11 new characters" in out
    model, tuned = _load(home, "model"), _load(home, "tuned")
    size = len(model.vocabulary)
    assert tuned.vocabulary.tokens[:size] == model.vocabulary.tokens
    assert set("quick: 12 zebras jump!") <= set(tuned.vocabulary.tokens)
    ids = model.vocabulary.encode("the crow had a piece of cheese")[None]
    torch.testing.assert_close(tuned(ids)[0][..., :size], model(ids)[0], rtol=1e-5, atol=1e-5)
    assert call(home, "generate", "tuned", "--prefix", "12 zebras", "--num-chars", "3").done().startswith("12 zebras")


def test_a_folder_without_a_model(home: Path) -> None:
    assert "no such model folder" in call(home, "train", "fable.txt", "--init-from", "nothing").error()
    (home / "model" / "config.json").write_text("{}")
    assert (
        "not the configuration of a charloom model" in call(home, "train", "fable.txt", "--init-from", "model").error()
    )
