import dataclasses
import tomllib
from pathlib import Path

import pytest

from charloom import CorpusSettings, ModelSettings, Recipe, SettingsError, TrainingSettings, load_recipe
from charloom.settings.recipes import OWN_TEXT, SECTION, read_recipe, recipe_names


def _recipe(folder: Path, content: str | bytes) -> str:
    file = folder / "mine.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def test_recipes_are_named_as_their_files() -> None:
    assert {SECTION, OWN_TEXT} <= set(recipe_names())
    assert recipe_names() == sorted(recipe_names())
    assert not any(name.endswith(".toml") or name.startswith("_") for name in recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_its_own_settings(name: str) -> None:
    recipe = load_recipe(name)
    tables = tomllib.loads(read_recipe(name))
    assert tables
    for table, values in tables.items():
        loaded = dataclasses.asdict(getattr(recipe, table))
        for setting, value in values.items():
            assert loaded[setting] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_describes_its_purpose(name: str) -> None:
    """The command line shows the first line."""
    first = read_recipe(name).splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20


def test_the_sections_recipe_has_the_sections_numbers() -> None:
    assert load_recipe("section") == Recipe(
        CorpusSettings(unit="char", max_chars=10_000, lowercase=True, collapse_whitespace=True),
        ModelSettings(cell="rnn", nonlinearity="tanh", hidden_size=256, num_layers=1, init_sigma=0.01),
        TrainingSettings(
            batch_size=32,
            num_steps=35,
            epochs=500,
            partitioning="sequential",
            optimizer="sgd",
            learning_rate=1.0,
            clip_norm=1.0,
            report_every=50,
            sample_every=100,
            prefix=("traveller", "time traveller"),
            sample_chars=50,
        ),
    )


def test_the_recipe_for_a_users_text_leaves_the_text_unchanged() -> None:
    recipe = load_recipe(OWN_TEXT)
    assert recipe.corpus == CorpusSettings()
    assert recipe.training.validation_fraction > 0
    assert recipe.training.prefix == ()


def test_a_recipe_file(tmp_path: Path) -> None:
    name = _recipe(
        tmp_path,
        '# é\n[corpus]\nunit = "byte"\n[model]\ncell = "gru"\nhidden_size = 8\n[training]\nprefix = ["né", "b"]\n',
    )
    assert read_recipe(name).startswith("# é\n")
    assert load_recipe(name) == Recipe(
        CorpusSettings(unit="byte"),
        ModelSettings(cell="gru", hidden_size=8),
        TrainingSettings(prefix=("né", "b")),
    )


def test_a_recipe_may_be_empty(tmp_path: Path) -> None:
    assert load_recipe(_recipe(tmp_path, "")) == Recipe(CorpusSettings(), ModelSettings(), TrainingSettings())


def test_an_unknown_recipe_lists_the_known() -> None:
    expected = "no recipe 'sektion': choose one of .*own-text.*section.*, or pass the path of a .toml file"
    with pytest.raises(SettingsError, match=expected):
        load_recipe("sektion")


@pytest.mark.parametrize("name", ["", "../recipes/section", "__init__", "__init__.py"])
def test_only_recipes_are_read_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match="no recipe"):
        load_recipe(name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: no such file"):
        load_recipe(str(tmp_path / "none.toml"))


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(SettingsError, match=r"mine\.toml"):
        load_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[model\n", "line 1"),
        ("[model]\ncell = rnn\n", "line 2"),
        ("[model]\n[model]\n", "model"),
        (b"[model] # \xff\n", "utf-8"),
        ("[modle]\nhidden_size = 3\n", r"no table \[modle\]; did you mean \[model\]\?"),
        ("[sampling]\ntop_k = 3\n", r"no table \[sampling\]; choose one of \[corpus\], \[model\], \[training\]"),
        ("hidden_size = 3\n", r"hidden_size is not in a table; hidden_size belongs in \[model\]"),
        ("model = 3\n", r"model is 3, but must be a table: \[model\]"),
        ("[[model]]\nhidden_size = 3\n", "model"),
        ("[model]\nhiden_size = 3\n", r"\[model\] has no key 'hiden_size'; did you mean hidden_size\?"),
        ("[model]\nbatch_size = 3\n", r"\[model\] has no key 'batch_size'; batch_size belongs in \[training\]"),
        ("[training.model]\ncell = 'rnn'\n", r"\[training\] has no key 'model'"),
        ("[model]\nhidden_size = '3'\n", r"\[model\] hidden_size is '3': it must be an integer"),
        ("[model]\nhidden_size = -3\n", "hidden_size is -3"),
        ("[model]\ndropout = nan\n", "dropout is nan"),
        ("[corpus]\nlowercase = 1\n", "lowercase is 1"),
        ("[model]\ncell = 'gru'\nnonlinearity = 'relu'\n", "nonlinearity is 'relu': it applies only to the rnn cell"),
        ("[training]\nprefix = 'traveller'\n", "prefix"),
        ("[training]\nprefix = [1]\n", "prefix"),
        ("[training]\ndevice = 0\n", "device"),
        ("[model]\ninit_sigma = 1" + "0" * 400 + "\n", "init_sigma"),
    ],
    ids=[
        "table not closed",
        "no value",
        "table twice",
        "not UTF-8",
        "unknown table",
        "table of other settings",
        "setting outside a table",
        "number for a table",
        "array of tables",
        "unknown setting",
        "setting of another table",
        "table in a table",
        "text for a number",
        "negative",
        "nan",
        "number for a switch",
        "contradiction",
        "text for a list",
        "numbers for texts",
        "number for a text",
        "number that no float holds",
    ],
)
def test_an_invalid_recipe_is_named_with_its_error(content: str | bytes, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"mine\.toml: .*" + expected):
        load_recipe(_recipe(tmp_path, content))
