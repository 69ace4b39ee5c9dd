"""Windows of a series and batches of them against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.forecasting.network_training import cut_windows, make_batch

_SIZES = st.tuples(st.integers(2, 12), st.integers(1, 6), st.integers(0, 20), st.integers(0, 2**32 - 1))


@given(_SIZES, st.floats(-1e6, 1e6))
def test_windows_are_relative_to_their_own_mean(sizes: tuple[int, int, int, int], level: float) -> None:
    context, ahead, more, seed = sizes
    values = np.random.default_rng(seed).normal(size=context + ahead + more)
    windows, spread = cut_windows(values + level, context, ahead)
    assert len(windows) == more + 1
    for start, window in enumerate(windows):
        stretch = values[start : start + context + ahead]
        assert window * spread == pytest.approx(stretch - stretch[:context].mean(), abs=1e-8)


@given(_SIZES, st.data())
def test_no_target_is_both_trained_on_and_evaluated(sizes: tuple[int, int, int, int], data: st.DataObject) -> None:
    """Targets of the held-out block are never trained on, others never evaluated, unknown ones neither."""
    context, ahead, more, seed = sizes
    length = context + ahead + more
    values = np.random.default_rng(seed).normal(size=length)
    start = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(start + 1, length))
    order = data.draw(st.integers(0, length - 1))
    errors = np.arange(length, dtype=float)
    windows, _ = cut_windows(values, context, ahead)
    errors[:order] = np.nan
    batch = make_batch(windows, errors, (start, end), context)
    assert batch.inputs.shape == (more + 1, context + ahead - 1, 2)
    targets = np.arange(len(windows))[:, None] + np.arange(1, context + ahead)
    assert (batch.targets.numpy() == np.where(targets >= order, targets, 0)).all()
    inside = (targets >= start) & (targets < end)
    fitted, held_out = batch.fitted.numpy() > 0, batch.held_out.numpy() > 0
    assert not (fitted & inside).any()
    assert not (held_out & ~inside).any()
    assert not ((fitted | held_out) & (targets < order)).any()
    # All other targets count, once a network has read enough.
    assert fitted[:, context - 1 :].sum() == (~inside & (targets >= order))[:, context - 1 :].sum()
    assert held_out[:, context - 1 :].sum() == (inside & (targets >= order))[:, context - 1 :].sum()
    assert not held_out[:, : context - 1].any()
    assert (batch.inputs[..., 1].numpy() == np.where(targets - 1 >= order, targets - 1, 0)).all()
