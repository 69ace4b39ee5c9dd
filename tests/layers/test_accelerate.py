"""``accelerate``, which makes the layers of any model charloom's in one line."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import charloom
from charloom import layers


class _OwnLSTM(nn.LSTM):
    """A user's subclass with a forward of its own."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        return super().forward(x * 2, hx)


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(
            {
                "rnn": nn.RNN(6, 5, 2, nonlinearity="relu", dropout=0.5),
                "gru": nn.GRU(6, 5, bidirectional=True, batch_first=True),
                "lstm": nn.LSTM(6, 5, bias=False),
                "own": _OwnLSTM(6, 5),
            }
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return [part(x)[0] for part in self.parts.values()]


def test_same_objects_same_results() -> None:
    model = _Model().eval()
    x = torch.randn(4, 3, 6)
    expected, objects = model(x), list(model.modules())
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert charloom.accelerate(model) is model
    assert all(a is b for a, b in zip(model.modules(), objects, strict=True))
    kinds = [type(part) for part in model.parts.values()]
    assert kinds == [nn.RNN, nn.GRU, nn.LSTM, _OwnLSTM]
    assert [isinstance(part, layers.RecurrentLayer) for part in model.parts.values()] == [True, True, True, False]
    assert list(model.state_dict()) == list(weights)
    for found, wanted in zip(model(x), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sum(part.sum() for part in model.train()(x)).backward()
    optimizer.step()
    assert not torch.equal(model.state_dict()["parts.gru.weight_hh_l0"], weights["parts.gru.weight_hh_l0"])


def test_a_layer_itself_and_twice() -> None:
    layer = nn.LSTM(3, 4)
    charloom.accelerate(charloom.accelerate(layer, precision="bfloat16"), precision="float32")
    assert isinstance(layer, layers.LSTM)
    assert layer.precision == "float32"


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_packed_sequences_and_projections_stay_pytorchs() -> None:
    theirs = nn.LSTM(3, 4, proj_size=2)
    ours = charloom.accelerate(nn.LSTM(3, 4, proj_size=2))
    ours.load_state_dict(theirs.state_dict())
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([5, 3]))
    torch.testing.assert_close(ours(packed)[0].data, theirs(packed)[0].data)


@pytest.mark.usefixtures("unchecked")
def test_a_module_without_layers_is_refused() -> None:
    with pytest.raises(charloom.InputError, match=r"Linear contains no torch\.nn\.RNN"):
        charloom.accelerate(nn.Linear(2, 3))
    with pytest.raises(charloom.SettingsError, match="choose one of float32, bfloat16"):
        charloom.accelerate(nn.GRU(2, 3), precision="half")  # type: ignore[arg-type]


def test_a_second_call_keeps_the_precision_unless_given() -> None:
    inner = charloom.accelerate(torch.nn.GRU(3, 4), precision="bfloat16")
    module = torch.nn.Sequential(inner, torch.nn.LSTM(4, 4))
    layers: Any = charloom.accelerate(module)
    assert [layer.precision for layer in layers] == ["bfloat16", "float32"]
    charloom.accelerate(module, precision="float32")
    assert [layer.precision for layer in layers] == ["float32", "float32"]
