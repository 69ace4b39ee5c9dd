"""The plan of a run: it refuses contradictions, and determines the folder."""

from pathlib import Path
from typing import Any

import pytest

import charloom
from charloom import Recipe, RunPlan, SettingsError

_RECIPE = Recipe(charloom.CorpusSettings(), charloom.ModelSettings(), charloom.TrainingSettings())
_CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    (
        {"resume": "model", "init_from": "other"},
        "init_from is 'other': a resumed run keeps its own settings and weights",
    ),
    ({"resume": "model", "recipe": charloom.load_recipe("section")}, "recipe is 'section': a resumed run"),
    ({"extend_vocabulary": True}, "extend_vocabulary requires init_from"),
    (
        {"corpus": charloom.corpus_from("a fox"), "recipe": _RECIPE.with_changes({"lowercase": True})},
        "lowercase=True: the corpus was read with lowercase=False",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), _CONTRADICTIONS)
def test_contradictions_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        RunPlan(**arguments)


def test_the_folder_is_determined_by_the_plan(tmp_path: Path) -> None:
    assert RunPlan().folder == Path("time-machine-model")
    assert RunPlan("a/book.txt.gz").folder == Path("book-model")
    assert RunPlan("-").folder == Path("text-model")
    assert RunPlan(resume=tmp_path).folder == tmp_path
    assert RunPlan(charloom.corpus_from("a fox", name="fable")).folder == Path("fable-model")
