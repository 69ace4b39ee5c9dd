"""A new language model: from settings, or of another's weights for more characters."""

from types import NoneType

import torch
from torch import nn

from charloom.arguments import check_type
from charloom.errors import InputError
from charloom.layers import LAYERS
from charloom.models.configuration import model_from_config
from charloom.models.language_model import LanguageModel
from charloom.settings.limits import check_count
from charloom.settings.model import ModelSettings
from charloom.text.vocabulary import Vocabulary


def build_model(vocabulary: Vocabulary, settings: ModelSettings | None = None, *, seed: int = 0) -> LanguageModel:
    """A new model of these settings, the section's where None, with initial weights that depend on the seed alone."""
    check_type(Vocabulary, vocabulary=vocabulary)
    check_type((ModelSettings, NoneType), settings=settings)
    check_count("seed", seed)
    settings = settings or ModelSettings()
    # In the caller's inference mode the weights would be such that they cannot be trained.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False):
        torch.manual_seed(seed)
        layer = LAYERS[settings.cell](
            settings.embedding_size or len(vocabulary),
            settings.hidden_size,
            settings.num_layers,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
            device="cpu",
            dtype=torch.float32,
            **({"nonlinearity": settings.nonlinearity} if settings.cell == "rnn" else {}),
        )
        model = LanguageModel(
            layer,
            vocabulary,
            embedding_size=settings.embedding_size,
            dropout=settings.dropout,
            tied_output=settings.tied_output,
        )
        _initialise(model, settings.init_sigma)
    return model


def extend_model(
    model: LanguageModel, vocabulary: Vocabulary, *, init_sigma: float = 0.0, seed: int = 0
) -> LanguageModel:
    """A model with a longer vocabulary: what it reads and writes of the new characters is initialised, all else kept.

    vocabulary: The model's own, ``extended``. init_sigma: As in ``ModelSettings``. Raises InputError for a vocabulary
    that is not the model's with more characters after it.
    """
    check_type(LanguageModel, model=model)
    check_type(Vocabulary, vocabulary=vocabulary)
    check_count("seed", seed)
    own = model.vocabulary
    if vocabulary.unit != own.unit or vocabulary != own.extended(map(str, vocabulary.tokens[1:])):
        raise InputError(
            "must begin with all of the model's: make it by model.vocabulary.extended", setting="vocabulary"
        )
    ModelSettings(init_sigma=init_sigma)  # checks it
    config, weights = model.to_config()
    config = config | {"vocabulary": vocabulary.to_json()}
    if model.embedding is None:
        config["layer"] = config["layer"] | {"input_size": len(vocabulary)}
    config["layer"] = config["layer"] | {"device": "cpu", "dtype": next(model.parameters()).dtype}
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False):
        torch.manual_seed(seed)
        longer = model_from_config(LanguageModel, config)
        _initialise(longer, init_sigma)
    with torch.no_grad():
        for name, tensor in longer.own_tensors().items():
            # New rows, or columns where the input is one-hot, come after the old ones.
            tensor[tuple(slice(size) for size in weights[name].shape)] = weights[name]
    return longer


def _initialise(model: LanguageModel, sigma: float) -> None:
    """N(0, sigma), biases zero; at 0 PyTorch's own initial weights stay."""
    if sigma:
        for name, parameter in model.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=sigma)
