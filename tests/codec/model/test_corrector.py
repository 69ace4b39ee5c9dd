"""Weights of the corrector: their file, their checks, their fingerprint."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from charloom.codec.model.corrector import INPUTS, UNITS, Corrector, load_corrector
from correctors import random_corrector

_OF_VERSION_2 = "b29b95c1e73cecfd2631c422b389a746e144c9b5d3584033ed62ee5fdbc218d6"


def test_the_corrector_of_version_2_is_unchanged() -> None:
    """Files that version 2 of the engine has compressed need exactly this corrector."""
    assert load_corrector().compute_fingerprint().hex() == _OF_VERSION_2


def test_a_saved_corrector_is_the_same(tmp_path: Path) -> None:
    corrector = random_corrector(1)
    # In another memory order, which safetensors would save as other numbers.
    corrector = dataclasses.replace(corrector, inputs=np.asfortranarray(corrector.inputs))
    corrector.save(tmp_path / "corrector.safetensors")
    loaded = Corrector(**safetensors.numpy.load((tmp_path / "corrector.safetensors").read_bytes()))
    assert loaded.compute_fingerprint() == corrector.compute_fingerprint()
    assert (loaded.inputs == corrector.inputs).all()


@pytest.mark.parametrize("name", ["inputs", "rows", "output", "output_bias", "log_counts"])
def test_each_array_is_checked_and_part_of_the_fingerprint(name: str) -> None:
    corrector = random_corrector(2)
    array = getattr(corrector, name)
    for wrong in (array[:-1], array.astype(np.int64)):
        with pytest.raises(ValueError, match=f"{name} must be int"):
            dataclasses.replace(corrector, **{name: wrong})
    changed = array.copy()
    changed.flat[-1] += 1
    other = dataclasses.replace(corrector, **{name: changed})
    assert other.compute_fingerprint() != corrector.compute_fingerprint()


def test_pairs_of_inputs() -> None:
    corrector = random_corrector(3)
    pairs = corrector.pair_inputs()
    assert pairs.flags.c_contiguous
    for i in range(INPUTS):
        assert (pairs[i // 2, :, i % 2] == corrector.inputs[i]).all()
    assert pairs.shape == (INPUTS // 2, UNITS, 2)
