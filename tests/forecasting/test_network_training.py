"""Windows of a series and batches of them against loops; networks that are kept or dropped."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom.forecasting.network import Member
from charloom.forecasting.network_training import cut_windows, fit_members, make_batch
from charloom.forecasting.regression import AutoregressionSpec
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

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


def _fit(values: Values, members: int = 4) -> list[Member]:
    settings = ForecastSettings(horizon=2, members=members, hidden_size=8, context=16)
    torch.manual_seed(0)
    specs = {AutoregressionSpec(0, 4, 1.0): 1.0}
    return fit_members((values - values.mean()) / values.std(), specs, settings, lambda _: None)[0]


def _make_chaos(length: int) -> Values:
    """Makes the logistic map, which is noise to any linear model."""
    values = np.full(length, 0.3)
    for t in range(1, length):
        values[t] = 3.8 * values[t - 1] * (1 - values[t - 1])
    return values


@pytest.mark.parametrize("seed", range(3))
def test_networks_that_predict_nothing_are_dropped(seed: int) -> None:
    members = _fit(np.random.default_rng(seed).normal(size=600))
    assert [member.network for member in members] == [None] * 4


def test_all_networks_are_trained_if_some_find_the_number_of_epochs() -> None:
    """With 600 points, three of five networks have early stopping, and all predict chaos afterwards."""
    values = _make_chaos(600)
    scaled = (values - values.mean()) / values.std()
    for member in _fit(values, members=10):
        assert member.network is not None
        # The head of a network is zero until it is trained.
        assert member.network.head.weight.abs().max() > 0
        errors = scaled[member.linear.order :] - member.linear.predict_next(scaled)
        inputs = np.stack([scaled[member.linear.order :], errors / member.spread], axis=-1)
        with torch.no_grad():
            (means, _), _ = member.network(torch.tensor(inputs[:, None], dtype=torch.float32))
        start, end = member.block
        block = slice(max(start, 50) - member.linear.order, end - member.linear.order)
        found = means[:, 0].numpy()[block.start - 1 : block.stop - 1]
        true = errors[block] / member.spread
        assert np.mean((true - found) ** 2) < 0.7 * np.mean(true**2)


def test_the_same_seed_gives_the_same_networks() -> None:
    first, second = _fit(_make_chaos(300)), _fit(_make_chaos(300))
    for one, other in zip(first, second, strict=True):
        assert one.network is not None
        assert other.network is not None
        for weight, same in zip(one.network.parameters(), other.network.parameters(), strict=True):
            assert (weight == same).all()


def test_neighbors_share_a_network() -> None:
    members = _fit(_make_chaos(300))
    weights = [one.network.head.weight for one in members if one.network is not None]
    assert len(weights) == 4
    for first, second, same in ((0, 1, True), (2, 3, True), (1, 2, False)):
        assert torch.equal(weights[first], weights[second]) == same
    # Two members have a network each: there must be a block to fit to.
    members = _fit(_make_chaos(300), members=2)
    weights = [one.network.head.weight for one in members if one.network is not None]
    assert len(weights) == 2
    assert not torch.equal(weights[0], weights[1])
