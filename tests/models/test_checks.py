"""Validation of a language model's arguments."""

from typing import Any

import pytest
import torch

from charloom import InputError, SettingsError, Vocabulary, layers
from charloom.models.checks import check_ids, check_parts, check_range, check_state, check_step

_VOCABULARY = Vocabulary.of_text("abc")  # of four tokens, with <unk>
_IDS = torch.zeros(2, 3, dtype=torch.int64)


def test_ids_are_integers_of_the_expected_dimensions() -> None:
    check_ids(2, ids=_IDS, targets=_IDS)
    check_ids(1, ids=_IDS[0])
    check_step(_IDS, _IDS)
    for wrong, message in (
        (_IDS[0], r"targets must be int64 \(batch, steps\), not torch.int64 \(3,\)"),
        (_IDS.int(), r"not torch.int32 \(2, 3\)"),
        ([[1]], "targets must be a tensor, not list"),
    ):
        with pytest.raises(InputError, match=message):
            check_ids(2, ids=_IDS, targets=wrong)
    with pytest.raises(InputError, match=r"int64 \(batch,\), not"):
        check_ids(1, ids=_IDS)
    with pytest.raises(InputError, match=r"ids and targets have different shapes: \(2, 3\) and \(2, 2\)"):
        check_step(_IDS, _IDS[:, :2])


def test_ids_are_in_the_vocabulary() -> None:
    check_range(torch.tensor([[0, 3]]), 4)
    check_range(torch.empty(2, 0, dtype=torch.int64), 4)
    check_range(torch.empty(2, 3, dtype=torch.int64, device="meta"), 4)  # tensors without values that could be read
    for wrong in (-1, 4, 2**40):
        with pytest.raises(InputError, match=f"id {wrong} is not in the vocabulary of 4 tokens"):
            check_range(torch.tensor([[0, wrong]]), 4)


def test_a_state_has_the_shapes_of_the_layers() -> None:
    layer, h = layers.GRU(4, 3), torch.zeros(1, 2, 3)
    check_state(h, layer, 2)
    check_state((h, h), layers.LSTM(4, 3), 2)
    for wrong, message in (
        ((h, h), r"the shape of the state is \(\(1, 2, 3\), \(1, 2, 3\)\): for these ids, it must be \(1, 2, 3\)"),
        ((h,), r"the shape of the state is \(\(1, 2, 3\),\)"),
        (h[:, :1], r"the state is \(1, 1, 3\)"),
        ("zero", "the state is str"),
    ):
        with pytest.raises(InputError, match=message):
            check_state(wrong, layer, 2)
    with pytest.raises(InputError, match=r"it must be \(\(1, 2, 3\), \(1, 2, 3\)\)"):
        check_state(h, layers.LSTM(4, 3), 2)


def _check(layer: Any = None, vocabulary: Any = _VOCABULARY, **options: Any) -> None:
    options = {"embedding_size": None, "dropout": 0.0, "tied_output": False} | options
    check_parts(layer or layers.GRU(options["embedding_size"] or 4, 5), vocabulary, **options)


def test_valid_parts() -> None:
    _check()
    _check(embedding_size=5, dropout=1, tied_output=True)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_a_projection_is_the_outputs_size() -> None:
    _check(layers.LSTM(2, 5, proj_size=2), embedding_size=2, tied_output=True)
    with pytest.raises(InputError, match="tied_output requires an embedding of the layer's output size, 2, not 5"):
        _check(layers.LSTM(5, 5, proj_size=2), embedding_size=5, tied_output=True)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"layer": torch.nn.GRU(4, 5)}, "the layer is of type GRU: pass a charloom.layers.RNN, GRU or LSTM"),
        ({"layer": layers.GRU(4, 5, bidirectional=True)}, "must not read what it predicts"),
        ({"layer": layers.GRU(4, 5, batch_first=True)}, "batch_first: create it without"),
        ({"layer": layers.GRU(3, 5)}, "input_size is 3: it must equal the size of the vocabulary, 4"),
        ({"layer": layers.GRU(4, 5), "embedding_size": 3}, "it must equal embedding_size, 3"),
        ({"vocabulary": "abc"}, "vocabulary is of type str"),
        ({"dropout": 1.5}, "dropout is 1.5: it must be a number from 0 to 1"),
        ({"dropout": True}, "dropout=True"),
        ({"tied_output": 1}, "tied_output is of type int"),
        ({"tied_output": True}, "requires an embedding of the layer's output size, 5, not None"),
        ({"layer": layers.GRU(4, 5), "embedding_size": 0}, "embedding_size is 0"),
    ],
)
def test_invalid_parts(parts: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, SettingsError), match=message):
        _check(**parts)
