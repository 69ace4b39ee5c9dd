"""A saved forecaster: it forecasts as before; any change of its files is refused or harmless."""

import copy
import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from charloom import InputError, LanguageModel, ModelFolderError, forecasting
from charloom.forecasting import Forecaster
from charloom.models.folder import read_model_folder
from charloom.settings.forecasting import Method
from noisy_seasons import SETTINGS, noisy_seasons


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    """A forecaster with networks, which predict the logistic map and therefore are not dropped."""
    values = np.full(150, 0.3)
    for t in range(1, len(values)):
        values[t] = 3.8 * values[t - 1] * (1 - values[t - 1])
    return forecasting.fit(values, replace(SETTINGS, epochs=30))


def test_folder(forecaster: Forecaster, tmp_path: Path) -> None:
    forecaster.save(tmp_path / "model")
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors"}
    assert "members.3.network.head.bias" in read_model_folder(tmp_path / "model", "forecaster")[1]
    loaded = Forecaster.load(tmp_path / "model")
    for a, b in ((forecaster.forecast(), loaded.forecast()), (forecaster.forecast(9), loaded.forecast(9))):
        assert (a.mean == b.mean).all()
        assert (a.interval(0.8)[1] == b.interval(0.8)[1]).all()
    assert loaded.settings == forecaster.settings


def _write(folder: Path, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Writes the files of a folder without the checks of ``save``."""
    data = safetensors.torch.save(tensors)
    (folder / "model.safetensors").write_bytes(data)
    (folder / "config.json").write_text(json.dumps(config | {"weights_sha256": hashlib.sha256(data).hexdigest()}))


def test_a_limit_of_the_log_variance_is_that_of_the_saved_forecaster(forecaster: Forecaster, tmp_path: Path) -> None:
    """Folders without one are of versions in which it was 6; that of new forecasters is 3."""
    forecaster.save(tmp_path)
    config, tensors = read_model_folder(tmp_path, "forecaster")
    spreads = {}
    for log_variance, saved in ((3.0, 3.0), (6.0, None), (10.0, None)):
        for name in [name for name in tensors if name.endswith("max_log_variance")]:
            del tensors[name]
        for member in range(SETTINGS.members):
            tensors[f"members.{member}.network.head.weight"].zero_()
            tensors[f"members.{member}.network.head.bias"] = torch.tensor([0.0, log_variance])
            if saved is not None:
                tensors[f"members.{member}.network.max_log_variance"] = torch.tensor(saved)
        _write(tmp_path, config, tensors)
        loaded = Forecaster.load(tmp_path)
        loaded.save(tmp_path)
        # Of the sampled paths, before they are clipped to the domain of the series.
        spreads[log_variance] = loaded.forecast(1)._spread[0]
        assert Forecaster.load(tmp_path).forecast(1)._spread[0] == spreads[log_variance], "a copy keeps the limit"
    assert spreads[6.0] == pytest.approx(spreads[3.0] * np.exp(1.5), rel=1e-3)
    assert spreads[10.0] == spreads[6.0]
    for wrong in (-7.0, 6.5, 1e30, float("nan"), [3.0, 3.0]):
        tensors["members.0.network.max_log_variance"] = torch.tensor(wrong)
        _write(tmp_path, config, tensors)
        with pytest.raises(ModelFolderError, match="do not match"):
            Forecaster.load(tmp_path)


def test_a_folder_without_networks(tmp_path: Path) -> None:
    """Networks that predict nothing are not part of the model; those of another model must be complete."""
    dropped = forecasting.fit(noisy_seasons(), replace(SETTINGS, epochs=0))
    dropped.save(tmp_path)
    loaded = Forecaster.load(tmp_path)
    assert loaded.method == "network"
    assert not any(".network." in name for name in read_model_folder(tmp_path, "forecaster")[1])
    for a, b in ((dropped.forecast(), loaded.forecast()), (dropped.forecast(9), loaded.forecast(9))):
        assert (a.mean == b.mean).all()
        assert (a.interval(0.8)[1] == b.interval(0.8)[1]).all()


def test_invalid_folders(forecaster: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        Forecaster.load(tmp_path / "nowhere")
    folder = tmp_path / "model"
    forecaster.save(folder)
    with pytest.raises(ModelFolderError, match="a forecaster, not a language model"):
        LanguageModel.load(folder)
    config = json.loads((folder / "config.json").read_text())
    changes: list[dict[str, object]] = [
        {"kind": "x"},
        {"settings": {"horizon": -1}},
        {"season": "x"},
        {"transform": "x"},
        {"transform": "auto"},
        {"method": "x"},
        {"method": "naive"},
        {"method": "auto"},
    ]
    for change in changes:
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelFolderError, match=r"not a forecaster|do not match"):
            Forecaster.load(folder)


@pytest.mark.parametrize("method", ["network", "drift"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("half_widths", lambda numbers: -numbers),
        ("half_widths", lambda numbers: numbers[:-1]),
        ("scale", lambda numbers: numbers * 0),
        ("scale", lambda numbers: numbers[:-1]),
        ("scale", lambda numbers: numbers * np.nan),
        ("scale", lambda numbers: np.add(numbers, [1e18, 0, 0, 0, 0])),
        ("scale", lambda numbers: np.add(numbers, [0.5, 0, 0, 0, 0])),
        ("scale", lambda numbers: np.add(numbers, [0, 0, 0, 4, 0])),
        ("scale", lambda numbers: np.add(numbers, [0, 0, 0, 0, 0.5])),
        ("reading", lambda numbers: -numbers - 1),
        ("reading", lambda numbers: numbers + 3),
        ("reading", lambda numbers: np.add(numbers, [1e18, 0, 0])),
        ("reading", lambda numbers: np.add(numbers, [-0.5, 0, 0])),
        ("spreads", lambda numbers: -numbers),
        ("spreads", lambda numbers: numbers[1:]),
        ("intercepts", lambda numbers: np.append(numbers, 1.0)),
        ("values", lambda numbers: numbers[:0]),
        ("members.0.coefficients", lambda numbers: numbers[:, None]),
    ],
)
def test_changed_numbers_are_refused(method: Method, name: str, change: Any, tmp_path: Path) -> None:
    forecasting.fit(noisy_seasons(40), replace(SETTINGS, method=method, epochs=0)).save(tmp_path)
    config, tensors = read_model_folder(tmp_path, "forecaster")
    tensors[name] = torch.from_numpy(np.ascontiguousarray(change(tensors[name].numpy())))
    _write(tmp_path, config, tensors)
    with pytest.raises(ModelFolderError, match="do not match"):
        Forecaster.load(tmp_path)


_WRONG: list[Any] = [None, True, "a", [], {}, 0, -1, 1.5, 1e300, 10**30, 10**400, float("nan"), float("inf")]
_ALIKE: dict[type, tuple[type, ...]] = {float: (int,), type(None): (int,), int: (type(None),)}
_OTHERS = ("settings", "charloom", "format_version", "weights_sha256")


def test_a_changed_config_is_refused_or_valid(forecaster: Forecaster, tmp_path: Path) -> None:
    """For any replacement of any value: another type is detected, and forecasts are finite."""
    folder = tmp_path / "model"
    refused = 0
    for one in (forecaster, forecasting.fit(noisy_seasons(), replace(SETTINGS, method="ar"))):
        one.save(folder)
        config = json.loads((folder / "config.json").read_text())
        for place in _paths_of({name: config[name] for name in config if name not in _OTHERS}):
            for wrong in (*_WRONG, "auto", "log"):
                changed: Any = copy.deepcopy(config)
                functools.reduce(lambda part, key: part[key], place[:-1], changed)[place[-1]] = wrong
                (folder / "config.json").write_text(json.dumps(changed))
                try:
                    found = Forecaster.load(folder)
                except ModelFolderError:
                    refused += 1
                    continue
                try:
                    forecast = found.forecast(2)
                except InputError:
                    continue  # it requires more points than there are, or other ones
                low, high = forecast.interval(0.8)
                assert np.isfinite([low, high]).all(), (place, wrong)
                right = functools.reduce(lambda part, key: part[key], place, config)
                assert type(wrong) in (type(right), *_ALIKE.get(type(right), ())), (place, wrong)
    assert refused > 100


def _paths_of(part: Any) -> Iterator[tuple[Any, ...]]:
    """Yields the path of keys to each leaf; of several members, of the first."""
    for key in part if isinstance(part, dict) else range(len(part[:1])) if isinstance(part, list) else ():
        yield (key,)
        yield from ((key, *more) for more in _paths_of(part[key]))
