"""The network in integers: its functions against floating point, its lanes against each other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom_codec.cells import CELLS
from charloom_codec.model.function_tables import fit_exp2, fit_tanh
from charloom_codec.model.integer_model import FREQUENCY_BITS, IntegerMatrix
from charloom_codec.reference.network import (
    ReferenceNetwork,
    compute_frequencies,
    multiply,
    multiply_q15,
    saturate,
    sigmoid,
    tanh,
)
from integer_models import random_model


def test_tanh_and_sigmoid_approximate_those_of_floats() -> None:
    z = np.arange(-40_000, 40_001, 7)
    exact = np.tanh(np.clip(z, -32_768, 32_767) / 4096) * 32_768
    assert np.abs(tanh(z, fit_tanh()) - exact).max() < 11
    assert (tanh(-z, fit_tanh()) == -tanh(z, fit_tanh()))[np.abs(z) < 32_768].all()
    half = np.arange(-32_768, 32_768, 7)
    assert np.abs(sigmoid(half, fit_tanh()) - 32_768 / (1 + np.exp(-2 * half / 4096))).max() < 6


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40))
def test_frequencies_are_proportional_to_powers_of_two(numbers: list[int]) -> None:
    logits = np.array([numbers])
    (found,) = compute_frequencies(logits, fit_exp2()).astype(np.int64)
    assert found.sum() == 1 << FREQUENCY_BITS
    assert found.min() >= 1
    assert found.argmax() == np.argmax(numbers)
    powers = 2.0 ** ((logits[0] - logits.max()) / 4096)
    assert found / found.sum() == pytest.approx(powers / powers.sum(), abs=2e-4)


def test_products_are_scaled_and_rounded_down() -> None:
    weights = np.array([[1, -2], [100, 3]], np.int8)
    matrix = IntegerMatrix(weights, np.array([3, 5], np.int16), np.array([2, 1], np.int32))
    found = multiply(np.array([[10, -7], [-1, 0]]), matrix)
    assert found.tolist() == [
        [((24 >> 2) * 3) >> 1, ((979 >> 2) * 5) >> 1],
        [((-1 >> 2) * 3) >> 1, ((-100 >> 2) * 5) >> 1],
    ]
    assert saturate(np.array([-40_000, 3, 40_000])).tolist() == [-32_768, 3, 32_767]
    assert multiply_q15(np.array([1 << 14, -(1 << 14), 16_383]), 1).tolist() == [1, 0, 0], (
        "to the nearest integer, halves up"
    )


@pytest.mark.parametrize("cell", [cell.name for cell in CELLS])
def test_lanes_are_independent_and_a_negative_token_is_skipped(cell: Any) -> None:
    model = random_model(3, cell, hidden=6, vocabulary=9, layers=2)
    texts = np.random.default_rng(0).integers(0, 9, (3, 5))
    several = ReferenceNetwork(model, 3)
    for step in range(5):
        several.step(texts[:, step])
        before = several.frequencies.copy()
        several.step(np.array([-1, -1, -1]))
        assert (several.frequencies == before).all()
    for lane, text in enumerate(texts):
        alone = ReferenceNetwork(model, 1)
        for token in text:
            alone.step(np.array([token]))
        assert (alone.frequencies[0] == several.frequencies[lane]).all()
    assert len({row.tobytes() for row in several.frequencies}) == 3
