"""The description of a model, before and after its training."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import ModelSettings, TrainingSettings, build_model, corpus_from, restore, train
from charloom.models.description import describe_model
from html_fragments import cells_of, parse, show

_CORPUS = corpus_from("a fox <b> & a dog\n" * 30, name="<made> & 'up'")


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_model_without_training(cell: Any) -> None:
    model = build_model(_CORPUS.vocabulary, ModelSettings(cell, hidden_size=4, num_layers=2, embedding_size=3))
    rows = dict(cells_of(show(model)))
    assert rows["layers"] == "2 x 4 units"
    assert rows["input"] == "embedding of size 3"
    assert rows["vocabulary"] == f"{len(_CORPUS.vocabulary)} tokens, unit char"
    assert "saved by" not in rows
    # The layers of torch.nn, too.
    assert cells_of(show(restore(model))) == cells_of(show(model))


def test_a_trained_model_names_its_text_and_results() -> None:
    model = build_model(_CORPUS.vocabulary, ModelSettings("gru", hidden_size=4))
    history = train(model, _CORPUS, TrainingSettings(epochs=2, batch_size=2, num_steps=5))
    html = show(model)
    rows = dict(cells_of(html))
    assert rows["text name"] == "<made> & 'up'"
    assert rows["result perplexity"] == f"{history[-1].perplexity:.6g}"
    # The settings are shown after a click.
    details = parse(html).find(".//details")
    assert details is not None
    assert {"".join(row[0].itertext()).split()[0] for row in details.iter("tr")} == {"training"}


def test_provenance_of_other_programs_is_shown_as_far_as_it_is_known() -> None:
    model = build_model(_CORPUS.vocabulary, ModelSettings("gru", hidden_size=4))
    values = {"count": 3.0, "list": [], "flag": True, "nothing": None, "\ud800": "x" * 1000, "large": float("inf")}
    model.provenance = {"corpus": values, "results": 3, "training": None, "charloom": "9.9"}
    rows = dict(describe_model(model))
    assert [rows[f"text {name}"] for name in ("count", "list", "flag", "nothing")] == ["3", "none", "true", "not set"]
    assert rows["saved by"] == "charloom 9.9"
    assert "x" * 200 + "… (1,000 characters)" in show(model)


@given(name=st.text(st.characters()))
def test_any_text_of_the_provenance_is_shown(name: str) -> None:
    model = build_model(_CORPUS.vocabulary, ModelSettings("gru", hidden_size=1))
    model.provenance = {"corpus": {name: name}, "charloom": name}
    show(model)


def test_showing_a_model_does_not_change_it() -> None:
    """Nor does it count as a part that cannot be saved."""
    model = build_model(_CORPUS.vocabulary, ModelSettings("gru", hidden_size=4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    show(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    class Shown(type(model)):  # type: ignore[misc]
        def _repr_html_(self) -> str:
            return ""

    model.__class__ = Shown
    assert model.describe_unsupported_part() is None
