"""The recurrent layers of any PyTorch model, made charloom's in place."""

from typing import Any, TypeVar

from torch import nn

from charloom.errors import InputError
from charloom.layers.gru import GRU
from charloom.layers.lstm import LSTM
from charloom.layers.rnn import RNN
from charloom.settings.model import Precision, check_precision

_Module = TypeVar("_Module", bound=nn.Module)
_HEIRS: dict[type[nn.Module], type[nn.Module]] = {nn.RNN: RNN, nn.GRU: GRU, nn.LSTM: LSTM}


def accelerate(module: _Module, *, precision: Precision = "float32") -> _Module:
    """Turns every ``torch.nn.RNN``, ``GRU`` and ``LSTM`` in a model into charloom's, and returns the model.

    The layers stay the objects they were: same parameters, hooks, ``state_dict`` and results, computed by the native
    kernels where they cover the case. Subclasses of those three are left alone: their ``forward`` is their own.

    Args:
        module: A layer, or any module with layers somewhere inside.
        precision: What the kernels multiply: float32, or bfloat16 with float32 sums and weights.

    Raises InputError where there is no such layer, SettingsError for another precision.
    """
    check_precision(precision)
    layers: list[Any] = [m for m in module.modules() if type(m) in _HEIRS or type(m) in _HEIRS.values()]
    if not layers:
        raise InputError(f"{type(module).__name__} has no torch.nn.RNN, GRU or LSTM inside: nothing to accelerate")
    for layer in layers:
        layer.__class__ = _HEIRS.get(type(layer), type(layer))
        layer.precision = precision
    return module
