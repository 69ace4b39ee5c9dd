from typing import Any

import pytest

from charloom import ModelSettings, SettingsError
from charloom.settings.limits import check_choice
from charloom.settings.model import Precision


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_relu_is_for_the_plain_cell_only(cell: Any) -> None:
    assert ModelSettings(cell="rnn", nonlinearity="relu").nonlinearity == "relu"
    with pytest.raises(SettingsError, match=f"nonlinearity is 'relu': it applies only to the rnn cell, not to {cell}"):
        ModelSettings(cell=cell, nonlinearity="relu")


def test_a_tied_output_needs_an_embedding_of_the_hidden_size() -> None:
    assert ModelSettings(tied_output=True, embedding_size=64, hidden_size=64).tied_output
    with pytest.raises(
        SettingsError, match=r"tied_output requires embedding_size equal to hidden_size \(64\), not None"
    ):
        ModelSettings(tied_output=True, hidden_size=64)
    with pytest.raises(SettingsError, match=r"tied_output requires embedding_size equal to hidden_size \(64\), not 32"):
        ModelSettings(tied_output=True, embedding_size=32, hidden_size=64)


def test_a_precision_that_is_none() -> None:
    check_choice("precision", "bfloat16", Precision)
    with pytest.raises(SettingsError, match="precision is 'int8': choose one of float32, bfloat16"):
        check_choice("precision", "int8", Precision)
