"""A language model's configuration: the JSON values that a model of the same parts is made from."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.layers import LAYERS, RNN
from charloom.models.folder import CONFIG_FILE, Config, WithoutInitialWeights
from charloom.models.predictor import predicting
from charloom.settings.cells import CELL_OF_MODE
from charloom.shapes import State
from charloom.text.clean_up import CleanUp
from charloom.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel

_Model = TypeVar("_Model", bound="LanguageModel")


def config_of(model: "LanguageModel") -> Config:
    """Returns the configuration of a model without unknown parts.

    Raises:
        InputError: The model's provenance is not JSON, or its vocabulary is a subclass's.
    """
    layer, vocabulary = model.layer, model.vocabulary
    if type(vocabulary) is not Vocabulary or type(vocabulary.clean_up) is not CleanUp:
        raise InputError("the vocabulary or its clean_up is a subclass's: a saved model would have charloom's own")
    return {
        "vocabulary": vocabulary.to_json(),
        "layer": {
            "cell": CELL_OF_MODE[layer.mode].setting,
            **{name: getattr(layer, name) for name in ("input_size", "hidden_size", "num_layers", "bias", "dropout")},
            **({"nonlinearity": layer.nonlinearity} if isinstance(layer, RNN) else {}),
            **({"proj_size": layer.proj_size} if layer.proj_size else {}),
        },
        "embedding_size": model.embedding.embedding_dim if model.embedding else None,
        "dropout": model.dropout.p,
        "tied_output": model.tied_output,
        "provenance": _json_values(model.provenance),
    }


def _json_values(provenance: Mapping[str, object]) -> Config:
    try:
        json.dumps(values := dict(provenance), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"must be a dictionary of JSON values ({error!s:.200})", setting="provenance") from None
    return values


def model_from_config(
    model_class: type[_Model],
    config: Config,
    max_layers: int = 2**31,
    *,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> _Model:
    """Makes a model with new weights of a configuration from anywhere, which may ask for so many layers.

    Raises:
        InputError: There is no model of this configuration.
    """
    try:
        layer = dict(config["layer"])
        if layer["num_layers"] > max_layers:
            raise ValueError(f"more than {max_layers} layers")
        model = model_class(
            LAYERS[layer.pop("cell")](**layer, device=device, dtype=dtype),  # a TypeError if it names its own
            Vocabulary.from_json(config["vocabulary"]),
            embedding_size=config["embedding_size"],
            dropout=config["dropout"],
            tied_output=config["tied_output"],
        )
        model.provenance = dict(config["provenance"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InputError(f"{CONFIG_FILE} does not describe a model ({error!r:.200})") from None
    return model


def model_without_weights(model_class: type[_Model], config: Config, num_tensors: int) -> _Model:
    """As ``model_from_config`` on the meta device: a hostile configuration cannot ask for more memory than it has."""
    with WithoutInitialWeights():
        return model_from_config(model_class, config, num_tensors, device="meta")


def differ(model: "LanguageModel", other: "LanguageModel") -> bool:
    """Tells if two models of one vocabulary give other logits or states in two calls in a row."""
    try:
        torch.testing.assert_close(_two_calls(model), _two_calls(other), equal_nan=True)
    except (AssertionError, TypeError, ValueError):  # these two for what is no tensor
        return True
    return False


def _two_calls(model: "LanguageModel") -> list[Tensor | State]:
    ids = torch.arange(len(model.vocabulary), device=model.device).unsqueeze(0)
    with predicting(model):
        logits, state = model(ids)
        return [logits, state, *model(ids, state)]
