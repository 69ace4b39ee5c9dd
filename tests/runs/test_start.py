"""The start of a run from the weights of a model."""

from pathlib import Path

import pytest

import charloom
from charloom import ModelSettings, Recipe, RunPlan, TrainingRun, TrainingSettings, UnknownCharacterError
from charloom.runs.start import recipe_of
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
    with pytest.raises(UnknownCharacterError, match="extend_vocabulary=True adds them"):
        TrainingRun(RunPlan(corpus, tmp_path / "second", init_from=tmp_path / "first")).run()


def test_a_given_corpus_keeps_its_length() -> None:
    """The recipe of the same name reads 10,000 characters."""
    corpus = charloom.corpus_from(_TEXT * 10, name="time-machine", lowercase=True)
    assert recipe_of(RunPlan(corpus)).corpus == CorpusSettings("char", None, True, False)
