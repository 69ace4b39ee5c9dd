"""Self-tests of the native code on this processor: small models, compared with the references."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from charloom import layers
from charloom.compression.quantization import quantize
from charloom.models.language_model import LanguageModel
from charloom.recurrence.backend import use_backend
from charloom.recurrence.threads import use_threads
from charloom.settings.model import LayerPrecision
from charloom.text.vocabulary import Vocabulary
from charloom_codec.cells import CELLS, Cell
from charloom_codec.engines.engine import Engine
from charloom_codec.engines.native import NativeEngine
from charloom_codec.model.priming import Priming
from charloom_codec.reference.plain_engine import ReferenceEngine

_TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom."
_UNITS, _SEQUENCES, _STEPS = 40, 3, 12  # more units than a vector has lanes, and not a multiple of them
_TOLERANCES: dict[LayerPrecision, float] = {"float32": 1e-5, "bfloat16": 0.02, "int8": 0.03}
"""Maximum error by precision, relative to the largest value: several times those of correct kernels."""


def verify_kernels(instruction_sets: Iterable[str]) -> dict[str, bool]:
    """Compares logits, loss and gradients of each cell in each precision with those of the reference.

    Args:
        instruction_sets: Instruction sets of the kernels that this processor supports.

    Returns:
        For each of them, whether its results are correct.
    """
    models = _make_models()
    with use_backend("reference"):
        expected = [_compute(model, "float32") for model in models]
    correct = {}
    for name in instruction_sets:
        with use_backend(name):
            correct[name] = all(
                _agree(_compute(model, precision), results, tolerance)
                for model, results in zip(models, expected, strict=True)
                for precision, tolerance in _TOLERANCES.items()
                # A pre-activation that is rounded to the other side of zero changes the derivative of a ReLU.
                if not (precision == "bfloat16" and model.layer.mode == "RNN_RELU")
            )
    return correct


def verify_codec(instruction_sets: Iterable[str]) -> dict[str, bool]:
    """Compares the compressed bytes of a text with those of the codec's reference, with and without context models.

    Args:
        instruction_sets: Instruction sets of the codec that this processor supports.

    Returns:
        For each of them, whether its results are correct.
    """
    text, correct = _TEXT.encode(), dict.fromkeys(instruction_sets, True)
    # Independent of the kernels. On one thread, because there is little work for two.
    with use_backend("reference"), use_threads(1):
        models = [quantize(model) for model in _make_models()]
    # Context models take the reference long, and do not depend on the cell.
    for model, priming in (*((model, None) for model in models), (models[-1], Priming(text[:20], 10))):
        expected = _encode(ReferenceEngine(model, priming), text)
        for name in correct:
            engine = NativeEngine(model, priming, name)
            correct[name] &= _encode(engine, text) == expected and _decode(engine, expected, len(text)) == text
    return correct


def _encode(engine: Engine, text: bytes) -> bytes:
    return engine.start_session(1).encode(text)


def _decode(engine: Engine, payload: bytes, length: int) -> bytes:
    return engine.start_session(1).decode(payload, length)


def _make_models() -> list[LanguageModel]:
    """Returns a model of two layers with random weights for each cell."""
    vocabulary = Vocabulary.of_text(_TEXT)
    # The random numbers of the process stay the same.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [LanguageModel(_make_layer(cell, len(vocabulary)), vocabulary) for cell in CELLS]


def _make_layer(cell: Cell, inputs: int) -> layers.RNN | layers.GRU | layers.LSTM:
    options = {"nonlinearity": cell.nonlinearity} if cell.setting == "rnn" else {}
    kind: type[layers.RNN] = getattr(layers, cell.layer)
    return kind(inputs, _UNITS, num_layers=2, device="cpu", **options)


def _compute(model: LanguageModel, precision: LayerPrecision) -> list[Tensor]:
    """Returns logits, loss and gradients of a small minibatch: of the fused step and of the layer alone, added."""
    ids = model.vocabulary.encode(_TEXT[: _SEQUENCES * (_STEPS + 1)]).view(_SEQUENCES, -1)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    model.precision = precision
    with torch.no_grad():
        logits, _ = model(inputs)
    model.zero_grad()
    outputs, _ = model.layer(functional.one_hot(inputs.T, len(model.vocabulary)).float())
    outputs.square().mean().backward()
    loss, _ = model.backpropagate(inputs, targets)
    return [logits, loss, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)]


def _agree(results: list[Tensor], expected: list[Tensor], tolerance: float) -> bool:
    """Returns True if the largest error of each tensor is within the tolerance. NaN is an error."""
    return all(
        bool((one - other).abs().max() <= tolerance * other.abs().max())
        for one, other in zip(results, expected, strict=True)
    )
