"""The start of a run from the weights of a model."""

from pathlib import Path

import pytest

import charloom
from charloom import (
    InputError,
    ModelSettings,
    Recipe,
    RunPlan,
    SettingsError,
    TrainingRun,
    TrainingSettings,
    UnknownCharacterError,
)
from charloom.runs.start import recipe_of_plan
from charloom.settings import CorpusSettings

_TEXT = "A fox and a dog met by the well, and the fox said nothing at all. " * 20


def test_fine_tuning_takes_the_models_settings(tmp_path: Path) -> None:
    text = tmp_path / "fable.txt"
    text.write_text(_TEXT)
    training = TrainingSettings(batch_size=4, num_steps=8, epochs=1, sample_every=0)
    recipe = Recipe(CorpusSettings(), ModelSettings(cell="gru", hidden_size=8), training)
    TrainingRun(RunPlan(text, tmp_path / "first", recipe)).run()
    text.write_text(_TEXT + "Zebra?")
    corpus = charloom.load_corpus(text)
    plan = RunPlan(corpus, tmp_path / "second", init_from=tmp_path / "first", extend_vocabulary=True)
    with TrainingRun(plan) as run:
        assert run.start.model.layer.hidden_size == 8
        assert "3 new characters" in run.start.description
    with pytest.raises(UnknownCharacterError, match="use extend_vocabulary=True to add"):
        TrainingRun(RunPlan(corpus, tmp_path / "second", init_from=tmp_path / "first")).run()


def test_a_clean_up_that_the_recipe_leaves_open_is_the_models(tmp_path: Path) -> None:
    """A text that is read in another way is refused."""
    text = tmp_path / "fable.txt"
    text.write_text(_TEXT)
    training = TrainingSettings(batch_size=4, num_steps=8, epochs=1, sample_every=0)
    recipe = Recipe(CorpusSettings(lowercase=True), ModelSettings(hidden_size=8), training)
    TrainingRun(RunPlan(text, tmp_path / "first", recipe)).run()
    open_recipe = Recipe(CorpusSettings(), recipe.model, training)
    with TrainingRun(RunPlan(text, tmp_path / "second", open_recipe, init_from=tmp_path / "first")) as run:
        assert run.start.corpus.vocabulary.clean_up.lowercase
    with pytest.raises(InputError, match="differs from the vocabulary in unit or normalization"):
        TrainingRun(
            RunPlan(charloom.corpus_from(_TEXT.lower()), tmp_path / "b", open_recipe, init_from=tmp_path / "first")
        ).run()
    other = Recipe(CorpusSettings(lowercase=False), recipe.model, training)
    with pytest.raises(SettingsError, match=r"lowercase=False: the model in .* was trained with lowercase=True"):
        TrainingRun(RunPlan(text, tmp_path / "b", other, init_from=tmp_path / "first")).run()


def test_a_corpus_keeps_its_length_whatever_the_recipe_reads() -> None:
    """The recipe of that name reads 10,000 characters."""
    corpus = charloom.corpus_from(_TEXT * 10, name="time-machine", lowercase=True)
    assert recipe_of_plan(RunPlan(corpus)).corpus == CorpusSettings("char", None, True, False)
