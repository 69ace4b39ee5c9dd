"""A model and its configuration: each determines the other."""

import json
from typing import Any

import pytest
import torch

from charloom import InputError, LanguageModel, ModelSettings, Vocabulary, build_model
from charloom.models.configuration import config_of, have_different_results, model_from_config, model_without_weights

_VOCABULARY = Vocabulary.of_text("abc")
_KINDS = [
    ModelSettings(hidden_size=5, nonlinearity="relu", num_layers=2, dropout=0.2),
    ModelSettings(cell="gru", hidden_size=5, embedding_size=3, dropout=0.1),
    ModelSettings(cell="lstm", hidden_size=5, embedding_size=5, tied_output=True),
]


def _model(settings: ModelSettings = _KINDS[1]) -> LanguageModel:
    model = build_model(_VOCABULARY, settings)
    model.provenance = {"results": {"perplexity": 1.5}}
    return model


@pytest.mark.parametrize("settings", _KINDS)
def test_a_model_built_from_a_configuration_has_the_same(settings: ModelSettings) -> None:
    """Through JSON; the parts are the same, and with equal weights so are the results."""
    model = _model(settings).eval()
    config = json.loads(json.dumps(config_of(model)))
    other = model_from_config(LanguageModel, config).eval()
    assert config_of(other) == config
    assert (other.settings, other.vocabulary, other.provenance) == (model.settings, _VOCABULARY, model.provenance)
    assert have_different_results(model, other)
    other.load_state_dict(model.state_dict())
    assert not have_different_results(model, other)


def test_a_model_without_weights_takes_no_memory() -> None:
    config = config_of(_model())
    model = model_without_weights(LanguageModel, config, 1)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    huge = config | {"layer": config["layer"] | {"num_layers": 10**9}}
    with pytest.raises(InputError, match=r"does not describe a model \(.*more than 7 layers"):
        model_without_weights(LanguageModel, huge, 7)


@pytest.mark.parametrize(
    "change",
    [
        {"layer": {}},
        {"layer": None},
        {"layer": {"cell": "mgu", "input_size": 3, "hidden_size": 5, "num_layers": 1}},
        {"layer": {"cell": "gru", "input_size": 3, "hidden_size": -5, "num_layers": 1}},
        {"layer": {"cell": "gru", "input_size": 3, "hidden_size": "5", "num_layers": 1}},
        {"vocabulary": 7},
        {"embedding_size": 4},
        {"dropout": 2},
        {"tied_output": True},
        {"provenance": 1},
    ],
)
def test_invalid_configurations_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="does not describe a model"):
        model_from_config(LanguageModel, config_of(_model()) | change)


def test_a_missing_part_is_refused() -> None:
    config = config_of(_model())
    for name in config:
        with pytest.raises(InputError, match=f"does not describe a model .KeyError.'{name}'"):
            model_from_config(LanguageModel, {key: value for key, value in config.items() if key != name})


def test_a_provenance_is_json() -> None:
    model = _model()
    wrong: Any
    for wrong in ({"a": float("nan")}, {"a": torch.zeros(1)}, {(1, 2): 3}):
        model.provenance = wrong
        with pytest.raises(InputError, match="provenance must be a dictionary of JSON values"):
            config_of(model)


def test_a_vocabulary_of_a_subclass_has_no_configuration() -> None:
    class Own(Vocabulary):
        pass

    with pytest.raises(InputError, match="is an instance of a subclass"):
        config_of(build_model(Own(["a"]), ModelSettings(hidden_size=3)))


def test_models_differ_by_a_single_weight() -> None:
    model, other = _model().eval(), _model().eval()
    assert not have_different_results(model, other)
    with torch.no_grad():
        other.output.bias[0] += 1e-2
    assert have_different_results(model, other)
