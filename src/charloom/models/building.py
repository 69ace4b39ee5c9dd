"""Construction of language models: from settings, or from another model's weights for a larger vocabulary."""

from types import NoneType

import torch
from torch import nn

from charloom.errors import InputError
from charloom.layers import LAYERS
from charloom.models.configuration import model_from_config
from charloom.models.language_model import LanguageModel
from charloom.settings.limits import check_count
from charloom.settings.model import ModelSettings
from charloom.text.vocabulary import Vocabulary
from charloom_codec.arguments import check_type


def build_model(vocabulary: Vocabulary, settings: ModelSettings | None = None, *, seed: int = 0) -> LanguageModel:
    """Builds a model with initial weights that depend on settings and seed only.

    Args:
        vocabulary: Tokens of the model.
        settings: Settings of the model; the defaults if None.
        seed: Seed of the initial weights.

    Returns:
        The model, on the CPU, float32, in training mode.
    """
    check_type(Vocabulary, vocabulary=vocabulary)
    check_type((ModelSettings, NoneType), settings=settings)
    check_count("seed", seed)
    settings = settings or ModelSettings()
    # fork_rng: building a model must not change the state of the caller's random-number generator. Tensors that are
    # created in inference mode can never be trained: the caller's mode must not apply here.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False):
        torch.manual_seed(seed)
        layer = LAYERS[settings.cell](
            settings.embedding_size or len(vocabulary),
            settings.hidden_size,
            settings.num_layers,
            # torch.nn warns about dropout between layers if there is only one.
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
        _initialize(model, settings.init_sigma)
    return model


def extend_model(
    model: LanguageModel, vocabulary: Vocabulary, *, init_sigma: float = 0.0, seed: int = 0
) -> LanguageModel:
    """Copies a model for a longer vocabulary; only the weights of the new characters are initialized.

    Args:
        model: Model to copy; it is not changed.
        vocabulary: The model's vocabulary after ``extended``.
        init_sigma: Standard deviation of the new weights, as in ``ModelSettings``; 0 for PyTorch's initialization.
        seed: Seed of the new weights.

    Returns:
        The new model, on the CPU.

    Raises:
        InputError: The vocabulary is not the model's with more characters at its end.
    """
    check_type(LanguageModel, model=model)
    check_type(Vocabulary, vocabulary=vocabulary)
    check_count("seed", seed)
    own = model.vocabulary
    if vocabulary.unit != own.unit or vocabulary != own.extended(map(str, vocabulary.tokens[1:])):
        raise InputError(
            "must start with all tokens of the model's vocabulary: create it with model.vocabulary.extended",
            setting="vocabulary",
        )
    ModelSettings(init_sigma=init_sigma)  # for its check of the range
    # By way of the configuration, which rejects models with parts that would be lost.
    config, weights = model.to_config()
    config = config | {"vocabulary": vocabulary.to_json()}
    if model.embedding is None:
        config["layer"] = config["layer"] | {"input_size": len(vocabulary)}
    with torch.random.fork_rng(devices=[]), torch.inference_mode(mode=False):
        torch.manual_seed(seed)
        longer = model_from_config(LanguageModel, config, dtype=model.output.weight.dtype)
        _initialize(longer, init_sigma)
    # no_grad: the weights are leaves that require gradients, which must not be changed in place otherwise.
    with torch.no_grad():
        for name, tensor in longer.own_tensors().items():
            # The new tokens come last, as rows, or as columns of the input weights if the input is one-hot.
            tensor[tuple(slice(size) for size in weights[name].shape)] = weights[name]
    return longer


def _initialize(model: LanguageModel, sigma: float) -> None:
    """Draws the weights from N(0, sigma) and sets biases to zero; keeps PyTorch's initial weights if sigma is 0."""
    if sigma:
        for name, parameter in model.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=sigma)
