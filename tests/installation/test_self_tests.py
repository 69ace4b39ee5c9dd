"""The self-tests accept this machine's native code, and notice wrong results."""

from typing import Any
from unittest import mock

import pytest
import torch

from charloom.installation import self_tests
from charloom.installation.self_tests import verify_codec, verify_kernels
from charloom.models.language_model import LanguageModel
from charloom.recurrence.backend import backend
from charloom_codec.engines import native as codec
from native import INSTRUCTION_SETS

_native = pytest.mark.skipif(not INSTRUCTION_SETS or not codec.supported(), reason="no native code")


@_native
def test_correct_native_code() -> None:
    state = torch.random.get_rng_state()
    assert verify_kernels(INSTRUCTION_SETS) == dict.fromkeys(INSTRUCTION_SETS, True)
    assert verify_codec(codec.supported()) == dict.fromkeys(codec.supported(), True)
    assert torch.equal(torch.random.get_rng_state(), state)


@_native
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-4), ("bfloat16", 0.1), ("int8", 0.1)])
def test_an_instruction_set_with_wrong_logits(precision: str, error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits of one precision of one instruction set are wrong."""
    wrong, forward = INSTRUCTION_SETS[0], LanguageModel.forward

    def forward_wrongly(self: LanguageModel, *arguments: Any) -> Any:
        logits, state = forward(self, *arguments)
        if backend().name == wrong and self.precision == precision and not logits.requires_grad:
            logits[-1, 0, 0] += error * logits.abs().max()
        return logits, state

    monkeypatch.setattr(LanguageModel, "forward", forward_wrongly)
    assert verify_kernels(INSTRUCTION_SETS) == {name: name != wrong for name in INSTRUCTION_SETS}


@_native
def test_wrong_gradients_of_one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, backpropagate = INSTRUCTION_SETS[-1], LanguageModel.backpropagate

    def backpropagate_wrongly(self: LanguageModel, *arguments: Any) -> Any:
        result = backpropagate(self, *arguments)
        if backend().name == wrong and self.layer.mode == "LSTM":
            next(self.layer.parameters()).grad[-1, -1] = float("nan")  # type: ignore[index]
        return result

    monkeypatch.setattr(LanguageModel, "backpropagate", backpropagate_wrongly)
    assert verify_kernels(INSTRUCTION_SETS) == {name: name != wrong for name in INSTRUCTION_SETS}


@_native
@pytest.mark.parametrize("mode", ["fast", "mixing"])
def test_a_codec_with_wrong_bytes(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = codec.supported()[-1]

    class WrongEngine(codec.NativeEngine):
        def __init__(self, model: Any, priming: Any, instruction_set: str) -> None:
            super().__init__(model, priming, instruction_set)
            self.is_wrong = instruction_set == wrong

        def start_session(self, num_lanes: int) -> Any:
            session = super().start_session(num_lanes)
            if not self.is_wrong or self.mode != mode:
                return session
            return mock.Mock(encode=lambda data: session.encode(data)[:-1] + b"?", decode=session.decode)

    monkeypatch.setattr(self_tests, "NativeEngine", WrongEngine)
    assert verify_codec(codec.supported()) == {name: name != wrong for name in codec.supported()}
