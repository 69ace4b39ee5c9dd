"""Kept packed weights: copies and pickles contain none."""

import copy
import pickle

import charloom
from charloom import layers
from charloom.recurrence.frozen_weights import FrozenWeights


def test_pickles_are_small_and_copies_are_new() -> None:
    layer = charloom.freeze(layers.GRU(8, 256))
    frozen = layer.frozen_weights
    assert isinstance(frozen, FrozenWeights)
    assert len(pickle.dumps(frozen)) < 200
    copied = copy.deepcopy(frozen)
    assert copied is not frozen
    assert copied.native is not frozen.native or copied.native is None
