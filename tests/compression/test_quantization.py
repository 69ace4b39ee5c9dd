"""Integers compared with the model that they were made from."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import charloom
from charloom import InputError, LanguageModel, ModelSettings, Vocabulary
from charloom.compression.quantization import quantize
from charloom_codec.model.integer_model import IntegerModel
from charloom_codec.reference.network import ReferenceNetwork

_TEXT = "It was the best of times,\nit was the worst of times: es war die schönste Zeit, 最良の時代."
_VOCABULARY = Vocabulary.of_text(_TEXT)


def _model(vocabulary: Vocabulary = _VOCABULARY, seed: int = 0, **settings: Any) -> LanguageModel:
    """Weights large enough for predictions worth comparing, and too small for chaos, in which states drift apart."""
    model = charloom.build_model(
        vocabulary, ModelSettings(**{"hidden_size": 48, "init_sigma": 0.2} | settings), seed=seed
    )
    with torch.no_grad():
        for parameter in model.output.parameters():
            parameter.normal_(std=0.5)
        for name, parameter in model.layer.named_parameters():
            if "bias" in name:
                parameter.normal_(std=0.3)
    return model.eval()


def _lost_bits(model: LanguageModel, integers: IntegerModel, steps: int = 40, lanes: int = 16) -> float:
    """Returns the mean Kullback-Leibler divergence: the extra bits of a text of the model's own with the integers."""
    random = np.random.default_rng(1)
    network = ReferenceNetwork(integers, lanes)
    state = model.begin_state(lanes)
    tokens = np.full(lanes, integers.start_token)
    total = 0.0
    for _ in range(steps):
        with torch.inference_mode():
            logits, state = model.step(torch.from_numpy(tokens), state)
        expected = torch.log_softmax(logits.double(), 1).numpy() / math.log(2)
        found = np.log2(network.frequencies) - 22
        total += float((np.exp2(expected) * (expected - found)).sum(axis=1).mean())
        tokens = (np.exp2(expected).cumsum(axis=1) > random.random((lanes, 1))).argmax(axis=1)
        network.step(tokens)
    return total / steps


_KINDS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn", "init_sigma": 0.1},
    "relu": {"cell": "rnn", "nonlinearity": "relu", "init_sigma": 0.1},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "two layers": {"cell": "lstm", "num_layers": 2},
    "three layers": {"cell": "gru", "num_layers": 3},
    "two relu layers": {"cell": "rnn", "nonlinearity": "relu", "num_layers": 2, "init_sigma": 0.1},
    "embedding": {"cell": "lstm", "embedding_size": 10},
    "tied": {"cell": "gru", "embedding_size": 48, "tied_output": True},
}


@pytest.mark.parametrize("kind", list(_KINDS))
def test_loss_by_quantization_is_small(kind: str) -> None:
    model = _model(**_KINDS[kind])
    integers = quantize(model)
    assert _lost_bits(model, integers) < 0.001
    # The computed model matters: a wrong bias in one gate costs more than that.
    with torch.no_grad():
        model.layer.get_parameter("bias_hh_l0")[-10:] += 0.7
    assert _lost_bits(model, integers) > 0.001


def test_bytes() -> None:
    model = _model(Vocabulary(), cell="gru")
    integers = quantize(model)
    assert _lost_bits(model, integers) < 0.003
    assert integers.list_tokens() == [bytes([v]) for v in range(256)]
    assert integers.start_token == ord("\n")


def test_a_layer_without_biases() -> None:
    for layer in (charloom.layers.GRU(len(_VOCABULARY), 20, bias=False), charloom.layers.LSTM(9, 20, 2, bias=False)):
        embedding_size = 9 if layer.input_size == 9 else None
        model = LanguageModel(layer, _VOCABULARY, embedding_size=embedding_size).eval()
        assert _lost_bits(model, quantize(model)) < 0.001


def test_tokens_are_their_bytes() -> None:
    integers = quantize(_model())
    assert integers.list_tokens() == [b"", *(character.encode() for character in _VOCABULARY.tokens[1:])]  # type: ignore[union-attr]
    assert integers.list_tokens()[integers.start_token] == b"\n"
    assert quantize(_model(Vocabulary.of_text("ab c"))).start_token == Vocabulary.of_text("ab c").encode(" ").item()
    assert quantize(_model(Vocabulary.of_text("abc"))).start_token == 1
    with pytest.raises(InputError, match="no characters"):
        quantize(_model(Vocabulary.of_text("")))


def test_quantization_is_deterministic() -> None:
    for settings in _KINDS.values():
        model = _model(**settings)
        assert quantize(model).compute_fingerprint() == quantize(model).compute_fingerprint()
    assert quantize(_model(seed=1)).compute_fingerprint() != quantize(_model(seed=2)).compute_fingerprint()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("size", [1e-6, 3.0, 60.0])
def test_tiny_and_huge_weights(cell: str, size: float) -> None:
    """The integers need not be accurate; they must be valid or refused."""
    model = _model(cell=cell, num_layers=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(size)
        model.layer.get_parameter("weight_hh_l0")[0].zero_()
    network = ReferenceNetwork(quantize(model), 4)
    network.step(np.array([1, 2, 3, 4]))
    assert (network.frequencies.sum(axis=1) == 1 << 22).all()


def test_growing_relu_states_are_saturated() -> None:
    model = _model(cell="rnn", nonlinearity="relu", init_sigma=1.0)
    network = ReferenceNetwork(quantize(model), 4)
    for _ in range(30):
        network.step(np.array([1, 2, 3, 4]))
    assert (network.frequencies.sum(axis=1) == 1 << 22).all()


def test_refusals() -> None:
    projected = LanguageModel(charloom.layers.LSTM(len(_VOCABULARY), 8, proj_size=4), _VOCABULARY)
    with pytest.raises(InputError, match="proj_size cannot be quantized"):
        quantize(projected)
    huge = Vocabulary([chr(i) for i in range(0x10000, 0x10000 + 65536)])
    with pytest.raises(InputError, match=r"65537 tokens is too large .* train with unit='byte'"):
        quantize(LanguageModel(charloom.layers.RNN(2, 2), huge, embedding_size=2))
    diverged = _model()
    with torch.no_grad():
        diverged.output.bias[0] = math.nan
    with pytest.raises(InputError, match=r"output\.bias contains NaN"):
        quantize(diverged)
    large = _model()
    with torch.no_grad():
        large.output.weight[0, 0] = 1e30
    with pytest.raises(InputError, match=r"weights as large as 1e\+30 cannot be quantized"):
        quantize(large)
    deep = _model(num_layers=65)
    with pytest.raises(InputError, match=r"num_layers is 65: too large for compression \(maximum: 64\)"):
        quantize(deep)
    beyond = _model().double()
    with torch.no_grad():
        beyond.output.weight[0, 0] = 1e308
    with pytest.raises(InputError, match="cannot be quantized"):
        quantize(beyond)


def test_a_broken_bound_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training catches it, so that its history is written, for any finding of ``integer_model_checks``."""
    monkeypatch.setattr("charloom_codec.model.bounds.MAX_TOKEN", 2)
    with pytest.raises(InputError, match="cannot be quantized: a token has more than 2 bytes"):
        quantize(_model())
