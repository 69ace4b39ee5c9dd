"""Modules that are exported with the weights of the call, and those that are refused."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import charloom
from charloom import CharloomError, InputError
from customized_models import CUSTOMIZED, WRONG
from onnx_session import assert_equal_in_onnx, exported


def _accelerated_lstm() -> Any:
    return charloom.accelerate(nn.LSTM(5, 8, 2))


def _replaced_weight() -> Any:
    layer = _accelerated_lstm()
    layer.weight_hh_l1 = nn.Parameter(torch.randn(32, 8))
    return layer


def _plain_tensor() -> Any:
    """Returns a layer whose weight is no parameter, as weight drop makes it."""
    layer = _accelerated_lstm()
    del layer._parameters["weight_hh_l0"]
    layer.weight_hh_l0 = torch.randn(32, 8)
    return layer


def _changed_in_place() -> Any:
    layer = charloom.freeze(_accelerated_lstm())
    with torch.inference_mode():
        layer(torch.zeros(3, 1, 5))
        layer.weight_hh_l0.mul_(2)
    return layer


def _weight_norm(layer: Any) -> Any:
    parametrizations.weight_norm(layer, "weight_hh_l0")
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(1.5)
    return layer


def _scripted() -> Any:
    layer = _accelerated_lstm()
    torch.jit.script(layer)
    return layer


_EXPORTED: dict[str, Callable[[], Any]] = {
    "accelerated": _accelerated_lstm,
    "accelerated, in another precision": lambda: charloom.accelerate(nn.GRU(5, 8), precision="int8"),
    "restored": lambda: charloom.restore(_accelerated_lstm()),
    "frozen": lambda: charloom.freeze(_accelerated_lstm()),
    "frozen, then changed": _changed_in_place,
    "weight replaced": _replaced_weight,
    "weight as a plain tensor": _plain_tensor,
    "weight norm": lambda: _weight_norm(nn.LSTM(5, 8)),
    "weight norm, accelerated": lambda: charloom.accelerate(_weight_norm(nn.GRU(5, 8))),
    "weight norm of charloom's layer": lambda: _weight_norm(charloom.layers.GRU(5, 8)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.GRU(5, 8), "weight_hh_l0"),
    "not contiguous": lambda: _with_weight(torch.randn(8, 32).t()),
    "scripted": _scripted,
}


def _with_weight(weight: Any) -> Any:
    layer = nn.LSTM(5, 8)
    layer.weight_hh_l0 = nn.Parameter(weight)
    return layer


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning", "ignore:RNN module weights")
@pytest.mark.parametrize("case", _EXPORTED)
def test_weights_are_those_of_the_call(case: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = _EXPORTED[case]()
    buffers = {name: value.clone() for name, value in layer.state_dict().items()}
    session = exported(layer, tmp_path)
    assert all(torch.equal(value, layer.state_dict()[name]) for name, value in buffers.items())
    if "precision" in case:
        layer.precision = "float32"
    assert_equal_in_onnx(layer, session, torch.randn(200, 3, 5), torch.randn(7, 3, 5))


class _Doubled(nn.GRU):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        outputs, state = super().forward(*args, **kwargs)
        return outputs * 2, state


class _Named(nn.GRU):
    """A subclass that might define anything that forward calls."""


def _with_forward() -> nn.Module:
    layer = charloom.layers.GRU(5, 8)
    vars(layer)["forward"] = lambda inputs, hx=None: (inputs, hx)
    return layer


def _with_method() -> nn.Module:
    layer = nn.GRU(5, 8)
    vars(layer)["permute_hidden"] = lambda hx, _: hx * 2
    return layer


def _hooked() -> nn.Module:
    layer = nn.GRU(5, 8)
    layer.register_forward_hook(lambda _, __, found: (found[0] * 2, found[1]))
    return layer


def _pruned() -> nn.Module:
    layer = nn.GRU(5, 8)
    return prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)  # type: ignore[no-any-return]


_REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "another module": (lambda: nn.Linear(2, 3), "a module of type Linear cannot be exported: pass a LanguageModel"),
    "a module with a layer": (lambda: nn.Sequential(nn.GRU(2, 3)), "a module of type Sequential cannot be exported"),
    "a cell": (lambda: nn.GRUCell(2, 3), "a module of type GRUCell cannot be exported"),
    "a base class": (lambda: nn.RNNBase("GRU", 2, 3), "a module of type RNNBase cannot be exported"),
    "another forward": (lambda: _Doubled(5, 8), "a module of type _Doubled cannot be exported"),
    "a subclass": (lambda: _Named(5, 8), "not a subclass"),
    "a subclass, parametrized": (lambda: _weight_norm(_Named(5, 8)), "a module of type Parametrized_Named cannot"),
    "a forward of the instance": (_with_forward, "its method forward was replaced"),
    "a method of the instance": (_with_method, "its method permute_hidden was replaced"),
    "a hook": (_hooked, "a model with hooks cannot be exported"),
    "pruning": (_pruned, "a model with hooks cannot be exported"),
    "a projection": (lambda: nn.LSTM(5, 8, proj_size=3), "a layer with proj_size cannot be exported"),
    "float64": (lambda: nn.GRU(5, 8).double(), "the weight weight_ih_l0 is torch.float64: only float32 weights"),
    "bfloat16": (lambda: nn.GRU(5, 8).bfloat16(), "is torch.bfloat16"),
    "meta": (lambda: nn.GRU(5, 8, device="meta"), "is on the meta device"),
    "sparse": (lambda: _with_weight(torch.zeros(32, 8).to_sparse()), "the values of the weight weight_hh_l0 cannot"),
    "NaN": (lambda: _with_weight(torch.full((32, 8), torch.nan)), "weight_hh_l0 contains NaN or infinite values"),
    "another shape": (lambda: _with_weight(torch.zeros(32, 1)), "do not have the shapes that the layer's options"),
    "one more layer": (lambda: _changed(num_layers=2), "does not have the number of weights"),
    "one more direction": (lambda: _changed(bidirectional=True), "does not have the number of weights"),
}


def _changed(**attributes: Any) -> nn.Module:
    layer = nn.GRU(5, 8)
    vars(layer).update(attributes)
    return layer


@pytest.mark.filterwarnings("ignore:RNN module weights")
@pytest.mark.parametrize("case", _REFUSED)
def test_refusals(case: str, tmp_path: Path) -> None:
    make, message = _REFUSED[case]
    with pytest.raises(InputError) as caught:
        charloom.export_onnx(make(), tmp_path / "model.onnx")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_a_patched_class_of_torch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.GRU, "forward", _Doubled.forward)
    for layer in (nn.GRU(5, 8), charloom.layers.GRU(5, 8)):
        with pytest.raises(InputError, match="its method forward was replaced"):
            charloom.export_onnx(layer, tmp_path / "model.onnx")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [*CUSTOMIZED, *WRONG])
def test_a_customized_model_is_exported_as_it_is_or_refused(case: str, tmp_path: Path) -> None:
    """Its logits are those of the model, or the export is an error."""
    model = (CUSTOMIZED | WRONG)[case]()
    try:
        session = exported(model, tmp_path)
    except CharloomError:
        return
    size = len(model.vocabulary)
    assert_equal_in_onnx(model, session, torch.arange(size).repeat(2, 2), torch.arange(size).repeat(2, 1))
