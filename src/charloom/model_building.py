"""A new language model from settings."""

import torch
from torch import nn

from charloom.language_model import LanguageModel
from charloom.layers import CELLS
from charloom.settings.model import ModelSettings
from charloom.text.vocabulary import Vocabulary


def build_model(vocabulary: Vocabulary, settings: ModelSettings | None = None, *, seed: int = 0) -> LanguageModel:
    """A new model of these settings, the section's where None, with initial weights that depend on the seed alone."""
    settings = settings or ModelSettings()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = CELLS[settings.cell](
            settings.embedding_size or len(vocabulary),
            settings.hidden_size,
            settings.num_layers,
            dropout=settings.dropout if settings.num_layers > 1 else 0.0,
            **({"nonlinearity": settings.nonlinearity} if settings.cell == "rnn" else {}),
        )
        model = LanguageModel(
            layer,
            vocabulary,
            embedding_size=settings.embedding_size,
            dropout=settings.dropout,
            tied_output=settings.tied_output,
        )
        if settings.init_sigma:
            for name, parameter in model.named_parameters():
                if "bias" in name:
                    nn.init.zeros_(parameter)
                else:
                    nn.init.normal_(parameter, std=settings.init_sigma)
    return model
