import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from charloom import CharloomError, CorpusSettings, ModelSettings, SamplingSettings, SettingsError, TrainingSettings
from charloom.forecasting import ForecastSettings

_KINDS: dict[str, Any] = {
    "corpus": CorpusSettings,
    "model": ModelSettings,
    "sampling": SamplingSettings,
    "training": TrainingSettings,
}
_NAN, _INF = float("nan"), float("inf")
_HUGE = 10**400  # an int that no float holds

# Valid and invalid values of every setting, by hand.
_NO_COUNT = [0, -1, 1.5, 2.0, True, "3", _NAN, _INF]
_NO_WHOLE = [-1, 1.5, 2.0, False, "3", _NAN, _INF]
_NO_NUMBER = [True, "0.5", _NAN, _INF, -_INF, [0.5], _HUGE]
_NO_SWITCH = [0, 1, "yes", "true", 1.0]
_VALUES: dict[tuple[str, str], tuple[list[Any], list[Any]]] = {
    ("corpus", "unit"): (["char", "byte"], ["word", "CHAR", "", 1, True, ["char"]]),
    ("corpus", "max_chars"): ([None, 1, 10**9], _NO_COUNT),
    ("corpus", "lowercase"): ([None, True, False], _NO_SWITCH),
    ("corpus", "collapse_whitespace"): ([None, True, False], _NO_SWITCH),
    ("model", "cell"): (["rnn", "gru", "lstm"], ["RNN", "transformer", "", 0, ["rnn"]]),
    ("model", "nonlinearity"): (["tanh", "relu"], ["sigmoid", "", 0]),
    ("model", "hidden_size"): ([1, 4096], _NO_COUNT),
    ("model", "num_layers"): ([1, 8, 1000], [*_NO_COUNT, 1001, 10**5]),
    ("model", "dropout"): ([0, 0.0, 0.5, 0.999], [-0.1, 1, 1.0, 1.1, *_NO_NUMBER]),
    ("model", "embedding_size"): ([None, 1, 64], _NO_COUNT),
    ("model", "tied_output"): ([False], _NO_SWITCH),
    ("model", "init_sigma"): ([0, 0.01, 5], [-0.01, *_NO_NUMBER]),
    ("sampling", "temperature"): ([None, 0, 0.0, 0.7, 1, 100.0], [-0.1, *_NO_NUMBER]),
    ("sampling", "power"): ([None, 0, 0.7, 1, 100.0], [-0.1, *_NO_NUMBER]),
    ("sampling", "top_k"): ([None, 1, 1000], _NO_COUNT),
    ("sampling", "top_p"): ([None, 1, 1.0, 0.9, 1e-9], [0, 0.0, -0.1, 1.001, *_NO_NUMBER]),
    ("sampling", "seed"): ([None, 0, 1, 2**63 - 1], _NO_WHOLE),
    ("training", "batch_size"): ([1, 512], _NO_COUNT),
    ("training", "gradient_accumulation_steps"): ([1, 8], _NO_COUNT),
    ("training", "num_steps"): ([1, 512], _NO_COUNT),
    ("training", "epochs"): ([1, 10**6], _NO_COUNT),
    ("training", "minutes"): ([None, 0.5, 10], [0, 0.0, -1.0, *_NO_NUMBER]),
    ("training", "partitioning"): (["sequential", "random"], ["shuffled", "", 0]),
    ("training", "optimizer"): (["sgd", "adamw"], ["SGD", "adam", "", 0]),
    ("training", "learning_rate"): ([1e-9, 1, 100.0], [0, 0.0, -1.0, *_NO_NUMBER]),
    ("training", "schedule"): (["constant", "cosine"], ["linear", "", 0, None]),
    ("training", "weight_decay"): ([None, 0, 0.01], [-0.1, *_NO_NUMBER]),
    ("training", "warmup_epochs"): ([None, 0, 0.5], [-0.1, *_NO_NUMBER]),
    ("training", "decay_every"): ([1, 100], _NO_COUNT),
    ("training", "decay_factor"): ([0.1, 1], [0, 0.0, -0.1, 1.1, *_NO_NUMBER]),
    ("training", "patience"): ([None], _NO_COUNT),
    ("training", "keep_best"): ([None, False], _NO_SWITCH),
    ("training", "checkpoint_minutes"): ([0, 0.5, 60], [-1, *_NO_NUMBER]),
    ("training", "checkpoint_steps"): ([None, 1, 10**6], _NO_COUNT),
    ("training", "keep_checkpoints"): ([1, 10], _NO_COUNT),
    ("training", "clip_norm"): ([0, 0.0, 1, 5.0], [-1, *_NO_NUMBER]),
    ("training", "validation_fraction"): ([0, 0.05, 0.9], [-0.1, 0.91, 1, *_NO_NUMBER]),
    # PyTorch's seeds have 64 bits.
    ("training", "seed"): ([0, 1, 2**63 - 1], [*_NO_WHOLE, 2**63]),
    ("training", "device"): (["auto", "cpu", "cuda:1"], [0, None, True, ""]),
    ("training", "threads"): ([None, 1, 64], _NO_COUNT),
    ("training", "precision"): (["float32", "bfloat16"], ["int8", "bf16", "", 0]),
    ("training", "report_every"): ([1, 1000], _NO_COUNT),
    ("training", "sample_every"): ([0, 1, 1000], _NO_WHOLE),
    ("training", "prefix"): ([(), ("a", "time traveller")], [("",), ("a", ""), (1,), (b"a",), "traveller", 5, None]),
    ("training", "sample_chars"): ([1, 1000], _NO_COUNT),
}
_TAKEN = [(kind, name, value) for (kind, name), (taken, _) in _VALUES.items() for value in taken]
_REFUSED = [(kind, name, value) for (kind, name), (_, refused) in _VALUES.items() for value in refused]
_NEEDED = [
    (kind, field.name)
    for kind, settings in _KINDS.items()
    for field in dataclasses.fields(settings)
    if None not in _VALUES[kind, field.name][0]
]


def _name(value: object) -> str:
    return "10**400" if value == _HUGE else repr(value)


def test_every_setting_is_tested_here() -> None:
    assert set(_VALUES) == {(kind, field.name) for kind, cls in _KINDS.items() for field in dataclasses.fields(cls)}


@pytest.mark.parametrize("kind", list(_KINDS))
def test_defaults_are_valid_and_settings_are_frozen(kind: str) -> None:
    settings = _KINDS[kind]()
    assert settings == _KINDS[kind]()
    for field in dataclasses.fields(settings):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, field.name, None)


@pytest.mark.parametrize(("kind", "name", "value"), _TAKEN, ids=_name)
def test_valid_values(kind: str, name: str, value: Any) -> None:
    settings = _KINDS[kind](**{name: value})
    assert getattr(settings, name) == value


@pytest.mark.parametrize(("kind", "name", "value"), _TAKEN, ids=_name)
def test_numbers_of_numpy_are_stored_as_pythons(kind: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    for library in (np.int64, np.uint64) if isinstance(value, int) else (np.float64, np.float32):
        found = getattr(_KINDS[kind](**{name: library(value)}), name)
        assert found == pytest.approx(value)
        assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(3.0), np.array([3, 4]), torch.tensor(2.5)])
def test_values_that_are_not_integers_in_any_library(value: Any) -> None:
    assert ForecastSettings(horizon=torch.tensor(3)).horizon == 3  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"horizon is .*: it must be an integer, at least 1"):
        ForecastSettings(horizon=value)


@pytest.mark.parametrize(("kind", "name", "value"), _REFUSED, ids=_name)
def test_invalid_values(kind: str, name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        _KINDS[kind](**{name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), _NEEDED)
def test_none_is_refused_if_a_value_is_required(kind: str, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        _KINDS[kind](**{name: None})


def test_the_error_states_the_value_and_the_valid_ones() -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("model", {"cell": "transformer"}, "cell is 'transformer': choose one of rnn, gru, lstm"),
        ("model", {"hidden_size": 0}, "hidden_size is 0: it must be an integer, at least 1"),
        ("model", {"dropout": 1.0}, "dropout is 1.0: it must be at least 0 and less than 1"),
        ("model", {"dropout": 2}, "dropout is 2: it must be at least 0 and less than 1"),
        ("training", {"seed": -1}, "seed is -1: it must be an integer, at least 0"),
        ("training", {"learning_rate": 0}, "learning_rate is 0: it must be above 0"),
        ("training", {"clip_norm": -1}, "clip_norm is -1: it must be at least 0"),
        ("training", {"validation_fraction": 1}, "validation_fraction is 1: it must be at least 0 and at most 0.9"),
        ("sampling", {"top_p": 0.0}, "top_p is 0.0: it must be above 0 and at most 1"),
        ("sampling", {"power": "2"}, "power is '2': it must be a finite number"),
        ("corpus", {"lowercase": 1}, "lowercase is 1: it must be true or false"),
    ]
    for kind, settings, message in cases:
        with pytest.raises(SettingsError) as caught:
            _KINDS[kind](**settings)
        assert str(caught.value).startswith(message)


def test_a_settings_error_is_a_value_error_and_charlooms() -> None:
    assert issubclass(SettingsError, ValueError)
    assert issubclass(SettingsError, CharloomError)


def test_the_defaults_are_the_sections() -> None:
    assert ModelSettings() == ModelSettings("rnn", "tanh", 256, 1, 0.0, None, False, 0.01)
    training = TrainingSettings()
    assert (training.batch_size, training.num_steps, training.epochs) == (32, 35, 500)
    assert (training.partitioning, training.optimizer) == ("sequential", "sgd")
    assert (training.learning_rate, training.clip_norm, training.validation_fraction) == (1.0, 1.0, 0.0)
    assert (training.report_every, training.sample_every, training.sample_chars) == (50, 100, 50)
