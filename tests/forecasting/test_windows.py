"""Windows of a series: where they begin, what they are seen from, which targets are learnt from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.forecasting.network import cut_windows, make_batch

_SIZES = st.tuples(st.integers(2, 12), st.integers(1, 6), st.integers(0, 20), st.integers(0, 2**32 - 1))


@given(_SIZES, st.floats(-1e6, 1e6))
def test_windows_are_the_series_seen_from_their_own_mean(sizes: tuple[int, int, int, int], level: float) -> None:
    context, ahead, more, seed = sizes
    values = np.random.default_rng(seed).normal(size=context + ahead + more)
    windows, spread = cut_windows(values + level, context, ahead)
    assert len(windows) == more + 1
    for start, window in enumerate(windows):
        stretch = values[start : start + context + ahead]
        assert window * spread == pytest.approx(stretch - stretch[:context].mean(), abs=1e-8)


@given(_SIZES, st.data())
def test_no_target_is_both_learnt_and_measured(sizes: tuple[int, int, int, int], data: st.DataObject) -> None:
    """A block's targets are never learnt; others never measured; unknown ones are neither."""
    context, ahead, more, seed = sizes
    length = context + ahead + more
    values = np.random.default_rng(seed).normal(size=length)
    begin = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(begin + 1, length))
    order = data.draw(st.integers(0, length - 1))
    errors = np.arange(length, dtype=float)
    windows, _ = cut_windows(values, context, ahead)
    errors[:order] = np.nan
    batch = make_batch(windows, errors, (begin, end), context)
    assert batch.inputs.shape == (more + 1, context + ahead - 1, 2)
    targets = np.arange(len(windows))[:, None] + np.arange(1, context + ahead)
    assert (batch.targets.numpy() == np.where(targets >= order, targets, 0)).all()
    inside = (targets >= begin) & (targets < end)
    fitted, held_out = batch.fitted.numpy() > 0, batch.held_out.numpy() > 0
    assert not (fitted & inside).any()
    assert not (held_out & ~inside).any()
    assert not ((fitted | held_out) & (targets < order)).any()
    # Everything else counts, once a network has read enough.
    assert fitted[:, context - 1 :].sum() == (~inside & (targets >= order))[:, context - 1 :].sum()
    assert held_out[:, context - 1 :].sum() == (inside & (targets >= order))[:, context - 1 :].sum()
    assert not held_out[:, : context - 1].any()
    assert (batch.inputs[..., 1].numpy() == np.where(targets - 1 >= order, targets - 1, 0)).all()
