"""Figures of the textbook section's own system (MXNet 1.9.1 Gluon), from weights that anyone can reproduce.

``gluon_trace.json`` was written by that system: losses and gradient norms of the first 24 minibatches, perplexity by
epoch, and greedy continuations at the end, for five models.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import charloom
from charloom import layers
from charloom.text.batching import sequential_batches
from charloom.training.truncated_bptt import train_step
from native import Switch

_TRACE: dict[str, Any] = json.loads((Path(__file__).parent / "support" / "gluon_trace.json").read_text())
_BATCH_SIZE, _NUM_STEPS = 32, 35
_LAYERS: dict[str, Callable[..., layers.RecurrentLayer]] = {
    "rnn_tanh": lambda *sizes: layers.RNN(*sizes),
    "rnn_relu": lambda *sizes: layers.RNN(*sizes, nonlinearity="relu"),
    "gru": layers.GRU,
    "lstm": layers.LSTM,
    "lstm_2_layers": layers.LSTM,
}
# MXNet's names start with a counter of its own (rnn0_, lstm1_, dense2_), and use i2h and h2h.
_KINDS = {"i2h_weight": "weight_ih", "h2h_weight": "weight_hh", "i2h_bias": "bias_ih", "h2h_bias": "bias_hh"}


@pytest.fixture
def corpus(corpora: Path) -> charloom.Corpus:
    return charloom.load_corpus(corpora / "timemachine.txt", lowercase=True, collapse_whitespace=True, max_chars=10_000)


def _traced_model(name: str, vocabulary: charloom.Vocabulary) -> charloom.LanguageModel:
    """Returns the model with the trace's initial weights, drawn in the trace's order."""
    trace = _TRACE[name]
    layer = _LAYERS[name](len(vocabulary), trace["hidden_size"], trace["num_layers"])
    model = charloom.LanguageModel(layer, vocabulary)
    draws = np.random.RandomState(2019)
    with torch.no_grad():
        for gluon_name, shape in trace["parameter_shapes_in_draw_order"]:
            values = draws.normal(0, trace["weights_sigma"], shape).astype(np.float32)
            _, _, rest = gluon_name.partition("_")
            if gluon_name.startswith("dense"):
                parameter = getattr(model.output, rest)
            else:
                level, _, kind = rest.partition("_")
                parameter = getattr(model.layer, f"{_KINDS[kind]}_{level}")
            parameter.copy_(torch.from_numpy(values))
    return model


def _train(model: charloom.LanguageModel, ids: torch.Tensor, num_epochs: int) -> tuple[list[float], list[float]]:
    """Returns the losses of all minibatches and the perplexities of all epochs, by the package's own step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    losses: list[float] = []
    perplexities: list[float] = []
    for epoch in range(num_epochs):
        state = model.begin_state(_BATCH_SIZE)
        first = len(losses)
        for inputs, targets in sequential_batches(ids, _BATCH_SIZE, _NUM_STEPS, offset=(7 * epoch) % _NUM_STEPS):
            loss, state = train_step(model, optimizer, inputs, targets, state, 1.0)
            losses.append(float(loss))
        perplexities.append(math.exp(sum(losses[first:]) / len(losses[first:])))
    return losses, perplexities


def test_vocabulary_and_ids(corpus: charloom.Corpus) -> None:
    assert list(corpus.vocabulary.tokens) == _TRACE["vocabulary"]
    assert corpus.ids[:40].tolist() == _TRACE["first_ids"]


@pytest.mark.parametrize("path", ["auto", "reference"])
@pytest.mark.parametrize("name", list(_LAYERS))
def test_losses(name: str, path: str, corpus: charloom.Corpus, compute_by: Switch) -> None:
    """PyTorch's layers are no closer: training of plain RNNs is chaotic, and diverges after the first epoch."""
    compute_by(path)
    losses, _ = _train(_traced_model(name, corpus.vocabulary), corpus.ids[:], 3)
    expected = _TRACE[name]["losses"]
    assert len(losses) == len(expected) == 24
    np.testing.assert_allclose(losses[:8], expected[:8], rtol=0, atol=1e-5)
    np.testing.assert_allclose(losses, expected, rtol=0, atol=2e-3 if name.startswith("rnn") else 1e-5)


@pytest.mark.parametrize("name", ["gru", "lstm", "lstm_2_layers"])
def test_trained_model(name: str, corpus: charloom.Corpus) -> None:
    """After the whole training: perplexities, greedy text, and the logits after a prefix."""
    trace = _TRACE[name]
    model = _traced_model(name, corpus.vocabulary)
    _, perplexities = _train(model, corpus.ids[:], len(trace["perplexity_by_epoch"]))
    np.testing.assert_allclose(perplexities, trace["perplexity_by_epoch"], rtol=1e-4)
    assert charloom.generate(model, "time traveller", 50) == trace["greedy_time_traveller_50"]
    assert charloom.generate(model, "traveller", 50) == trace["greedy_traveller_50"]
    logits, _ = model(corpus.vocabulary.encode("time traveller")[None])
    np.testing.assert_allclose(logits[-1, 0].detach(), trace["last_logits_after_time_traveller"], rtol=0, atol=1e-3)
