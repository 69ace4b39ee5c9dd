"""``charloom recipes``, and recipes as defaults of training."""

from pathlib import Path

import pytest

from charloom import Recipe
from charloom.cli.app import app
from process import call


def test_recipes(tmp_path: Path) -> None:
    listed = call(tmp_path, "recipes").done()
    assert [line.split()[0] for line in listed.splitlines()] == ["auto", "own-text", "section"]
    assert "learning_rate = 1.0" in call(tmp_path, "recipes", "section").done()
    assert "no recipe 'x'" in call(tmp_path, "recipes", "x").error(2)


def _settings(words: str) -> Recipe:
    """Returns the settings of a call of train."""
    _, bound, _ = app.parse_args(words.split(), exit_on_error=False, print_error=False)
    given = bound.arguments
    return Recipe(given["text"], given["model"], given["training"])


def test_a_recipe_gives_the_defaults_and_options_override_it() -> None:
    assert _settings("train") == _settings("train --recipe section")
    own = _settings("train mine.txt")
    assert own == _settings("train --recipe auto")
    assert own.training.schedule == "cosine"
    assert _settings("sweep mine.txt --output a") == _settings("sweep --output a --recipe own-text")
    assert _settings("train mine.txt --init-from model") == _settings("train --recipe own-text")
    assert _settings("train mine.txt --hidden-size 3").model.hidden_size == 3


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("train mine.txt", set()),
        ("train mine.txt --hidden-size 256 --no-keep-best", {"hidden_size", "keep_best"}),
        ("train mine.txt --epochs 3 --prefix a --output b --force", {"epochs", "prefix"}),
        ("train mine.txt --minutes 0.5 --recipe auto", {"minutes"}),
    ],
)
def test_options_on_the_command_line_are_recorded(words: str, names: set[str]) -> None:
    """Also if their value is the default: a run with the recipe ``auto`` keeps them."""
    _, bound, _ = app.parse_args(words.split(), exit_on_error=False, print_error=False)
    assert set(bound.arguments.get("given", ())) == names


def test_a_sweep_needs_fixed_settings(tmp_path: Path) -> None:
    words = ["sweep", "mine.txt", "--output", "a", "--recipe", "auto", "--vary", "dropout=0,0.1"]
    assert "pass another recipe" in call(tmp_path, *words).error(2)


def test_a_recipe_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[model]\ncell = 'gru'\n[training]\nepochs = 7\nprefix = ['a', 'b']\n")
    found = _settings(f"train --recipe {tmp_path}/mine.toml --epochs 8")
    assert (found.model.cell, found.training.epochs, found.training.prefix) == ("gru", 8, ("a", "b"))


def test_a_recipe_that_training_refuses_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[training]\nepochs = 0\n")
    assert "recipe mine.toml: [training] epochs is 0: it must be" in call(tmp_path, "recipes", "mine.toml").error(2)
