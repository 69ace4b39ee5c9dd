"""Weights of the corrector: their file, their checks, their fingerprint."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from charloom import CharloomError
from charloom_codec.model import corrector as corrector_module
from charloom_codec.model.corrector import INPUTS, UNITS, Corrector, load_corrector
from correctors import random_corrector


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "another array"])
def test_a_damaged_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """Another corrector would write files that no other machine can decode."""
    original = (corrector_module.CORRECTOR_FOLDER / "corrector_2.safetensors").read_bytes()
    file = tmp_path / "corrector_2.safetensors"
    if damage == "another array":
        file.write_bytes(safetensors.numpy.save({**safetensors.numpy.load(original), "more": np.zeros(1)}))
    elif damage != "missing":
        file.write_bytes(original[:-1] if damage == "truncated" else original[:-1] + bytes([original[-1] ^ 1]))
    monkeypatch.setattr(corrector_module, "CORRECTOR_FOLDER", tmp_path)
    with pytest.raises(CharloomError, match="missing or damaged; install charloom again"):
        load_corrector.__wrapped__(2)


@pytest.mark.parametrize("version", [2, 3])
def test_the_weights_cannot_be_changed(version: int) -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_corrector(version).inputs[0] = 0


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
