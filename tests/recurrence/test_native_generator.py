"""Generation in one native call: the tokens of the model's own steps. Checks of its tensors: ``test_kernel_calls``."""

from typing import Any

import pytest
import torch

import charloom
from charloom import SamplingSettings, layers
from charloom.recurrence.backend import kernels_named
from charloom.recurrence.kernel_arguments import ModelShape
from charloom.recurrence.native_generator import NativeGenerator
from charloom_codec.cells import CELL_NAMED
from native import INSTRUCTION_SETS

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
def test_greedy_tokens_state_and_logits_are_those_of_single_steps(kernels: str) -> None:
    torch.manual_seed(0)
    vocabulary = charloom.Vocabulary("abcdefghijk")
    model = charloom.LanguageModel(layers.GRU(len(vocabulary), 9), vocabulary).eval()
    shape = ModelShape(CELL_NAMED["gru"].number, hidden=9, layers=1, vocabulary=len(vocabulary), embedding_size=0)
    weights: list[Any] = [None, *model.layer.parameters(), model.output.weight, model.output.bias]
    generator = NativeGenerator(kernels_named(kernels), shape, False, weights)
    logits, state = torch.randn(2, len(vocabulary)), torch.zeros(1, 2, 9)
    expected_logits, expected_state, expected = logits.clone(), state.clone(), []
    with torch.no_grad():
        for _ in range(6):
            expected.append(expected_logits.argmax(1))
            outputs, expected_state = model(expected[-1].unsqueeze(1), expected_state)
            expected_logits = outputs.reshape(2, -1)
    greedy = SamplingSettings(temperature=0.0)
    ids = generator.run(logits, (state,), greedy, None, torch.zeros(2, 6, dtype=torch.float64))
    assert torch.equal(ids, torch.stack(expected, 1))
    torch.testing.assert_close(state, expected_state, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-4, atol=1e-5)
