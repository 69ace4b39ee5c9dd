"""A language model's configuration: the JSON values from which a model with the same parts is created."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from charloom.errors import InputError
from charloom.layers import LAYERS, RNN
from charloom.models.folder import CONFIG_FILE, Config, SkipInit, describe_misfit
from charloom.models.predictor import predicting
from charloom.recurrence.torch_internals import are_hooked
from charloom.settings.model import ModelSettings
from charloom.shapes import State
from charloom.text.clean_up import CleanUp
from charloom.text.vocabulary import Vocabulary
from charloom_codec.cells import CELL_OF_MODE

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel

_Model = TypeVar("_Model", bound="LanguageModel")


def make_settings(model: "LanguageModel") -> ModelSettings:
    """Returns settings that build a model like this; ``init_sigma``, which a model does not store, is the default."""
    layer, cell = model.layer, CELL_OF_MODE[model.layer.mode]
    return ModelSettings(
        cell=cell.setting,
        nonlinearity=cell.nonlinearity,
        hidden_size=layer.hidden_size,
        num_layers=layer.num_layers,
        dropout=max(model.dropout.p, layer.dropout),
        embedding_size=None if model.embedding is None else model.embedding.embedding_dim,
        tied_output=model.tied_output,
    )


def config_of(model: "LanguageModel") -> Config:
    """Returns the configuration of a model without unknown parts.

    Raises:
        InputError: The model's provenance is not JSON, or its vocabulary is of a subclass.
    """
    layer, vocabulary = model.layer, model.vocabulary
    # Exact types: a subclass could encode text differently, and a configuration cannot name it.
    if type(vocabulary) is not Vocabulary or type(vocabulary.clean_up) is not CleanUp:
        raise InputError(
            "the vocabulary or its normalization is an instance of a subclass, which would be lost on saving: use "
            "charloom's own classes"
        )
    return {
        "vocabulary": vocabulary.to_json(),
        "layer": {
            "cell": CELL_OF_MODE[layer.mode].setting,
            **{name: getattr(layer, name) for name in ("input_size", "hidden_size", "num_layers", "bias", "dropout")},
            **({"nonlinearity": layer.nonlinearity} if isinstance(layer, RNN) else {}),
            # Only if used, so that the configurations of all other models are the same as before it was supported.
            **({"proj_size": layer.proj_size} if layer.proj_size else {}),
        },
        "embedding_size": model.embedding.embedding_dim if model.embedding else None,
        "dropout": model.dropout.p,
        "tied_output": model.tied_output,
        "provenance": _json_values(model.provenance),
    }


def _json_values(provenance: Mapping[str, object]) -> Config:
    # Before a file is written: json.dumps would write NaN, which is not JSON, by default.
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
    """Creates a model with new weights from an untrusted configuration.

    Args:
        model_class: ``LanguageModel`` or a subclass.
        config: The configuration.
        max_layers: Maximum number of layers that the configuration may have.
        device: Device of the weights.
        dtype: Dtype of the weights; PyTorch's default if None.

    Returns:
        The model.

    Raises:
        InputError: The configuration does not describe a model.
    """
    try:
        layer = dict(config["layer"])
        # Before the layers are created: a small file could otherwise ask for billions of them.
        if layer["num_layers"] > max_layers:
            raise ValueError(f"more than {max_layers} layers")
        model = model_class(
            # A configuration that has a device or dtype of its own raises TypeError here, as a repeated keyword.
            LAYERS[layer.pop("cell")](**layer, device=device, dtype=dtype),
            Vocabulary.from_json(config["vocabulary"]),
            embedding_size=config["embedding_size"],
            dropout=config["dropout"],
            tied_output=config["tied_output"],
        )
        model.provenance = dict(config["provenance"])
    # A configuration can have any JSON value anywhere: these are the errors that PyTorch and Python raise for them.
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InputError(f"{CONFIG_FILE} does not describe a model ({error!r:.200})") from None
    return model


def make_config(model: "LanguageModel", model_class: type["LanguageModel"], tensors: dict[str, Tensor]) -> Config:
    """Returns the configuration of a model, from which ``model_class.from_config`` restores it.

    Args:
        model: The model.
        model_class: The class ``LanguageModel``, as this module cannot import it.
        tensors: Tensors of the model, ``own_tensors``.

    Raises:
        InputError: The model would not be restored as it is.
    """
    problem = model.describe_unsupported_part()
    if problem is None:
        config = config_of(model)
        empty = model_without_weights(model_class, config, len(tensors))
        wrong = describe_misfit(empty.own_tensors(), tensors)
        if wrong is None and not has_effective_hooks(model, model_class, config, tensors):
            return config
        problem = wrong or "hooks change its results"
    raise InputError(
        f"this model cannot be saved as a folder: it would load as a different model ({problem}); remove "
        "hooks, parametrizations and pruning masks first (remove_parametrizations, prune.remove), or save its "
        "state_dict with torch.save"
    )


def model_without_weights(model_class: type[_Model], config: Config, num_tensors: int) -> _Model:
    """Creates a model on the meta device, with at most ``num_tensors`` layers."""
    # A hostile configuration can name any size: on the meta device tensors take no memory, but each layer takes some,
    # and every layer has a tensor in the file.
    with SkipInit():
        return model_from_config(model_class, config, num_tensors, device="meta")


def has_effective_hooks(
    model: "LanguageModel", model_class: type["LanguageModel"], config: Config, tensors: Mapping[str, Tensor]
) -> bool:
    """Returns True if a model's hooks change its results.

    Args:
        model: The model, which may have hooks.
        model_class: The class ``LanguageModel``, as this module cannot import it.
        config: Configuration of the model.
        tensors: Weights of the model.
    """
    if not are_hooked(model.modules()):
        return False
    # Hooks that only observe, as profilers set them, must not prevent saving: the results decide.
    copies = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    return have_different_results(model, model_class.from_config(config, copies).to(model.device))


def have_different_results(model: "LanguageModel", other: "LanguageModel") -> bool:
    """Returns True if two models with one vocabulary compute different logits or states in two successive calls."""
    try:
        torch.testing.assert_close(_two_calls(model), _two_calls(other), equal_nan=True)
    except (AssertionError, TypeError, ValueError):  # the last two for a result that is not a tensor
        return True
    return False


def _two_calls(model: "LanguageModel") -> list[Tensor | State]:
    # Every token once; a second call, because a hook may change the state, or only a state that is not zero.
    ids = torch.arange(len(model.vocabulary), device=model.device).unsqueeze(0)
    with predicting(model):
        logits, state = model(ids)
        return [logits, state, *model(ids, state)]
