"""Windows of a series and the paths that ensemble members draw, against loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom.forecasting.autoregression import Linear
from charloom.forecasting.network import CorrectionConfig, CorrectionNetwork, Member, compute_gaussian_nll, draw_paths
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


def _member(seed: int) -> Member:
    """Returns a member whose network is not zero."""
    torch.manual_seed(seed)
    network = CorrectionNetwork("gru", 8)
    torch.nn.init.normal_(network.head.weight)
    return Member(Linear(np.array([0.5, -0.2, 0.1]), 0.3), 0.7, network.eval(), (0, 1))


def test_many_steps_without_noise_equal_one_step_repeated() -> None:
    """``draw_paths`` carries the network's state; here every step reads everything from the start."""
    member, reading = _member(0), CorrectionConfig(context=5, window_spread=1.3, shrinkage=0.75)
    values = np.random.default_rng(0).normal(size=20)
    found = draw_paths(member, reading, values, np.array([12, 20]), 4, 1, None)[0]
    for row, origin in zip(found, (12, 20), strict=True):
        known = list(values[:origin])
        center = np.mean(known[-5:])
        for step in range(4):
            places = range(origin - 5, origin + step)
            linear = {
                t: 0.3 + 0.5 * known[t - 1] - 0.2 * known[t - 2] + 0.1 * known[t - 3] for t in (*places, origin + step)
            }
            seen = [[(known[t] - center) / 1.3, (known[t] - linear[t]) / 0.7] for t in places]
            with torch.no_grad():
                assert member.network is not None
                (mean, _), _ = member.network(torch.tensor(seen, dtype=torch.float32)[:, None])
            known.append(linear[origin + step] + 0.7 * 0.75 * float(mean[-1, 0]))
        assert row == pytest.approx(known[origin:], abs=1e-5)


def test_paths_have_the_spread_of_the_process() -> None:
    """A network that corrects nothing: the paths are the autoregression's, their mean exactly its forecast."""
    torch.manual_seed(0)
    member = Member(Linear(np.array([0.9]), 0.0), 2.0, CorrectionNetwork("gru", 4).eval(), (0, 1))
    values = np.array([0.0, 1.0, 2.0, 3.0])
    generator = torch.Generator().manual_seed(0)
    paths = draw_paths(member, CorrectionConfig(2, 1.0, 1.0), values, np.array([4]), 5, 20_000, generator)[:, 0]
    assert paths.mean(0) == pytest.approx(3 * 0.9 ** np.arange(1, 6), abs=1e-4)
    assert paths.std(0) == pytest.approx(2 * np.sqrt(np.cumsum(0.81 ** np.arange(5))), rel=0.02)
    assert np.corrcoef(paths[:, 0], paths[:, 1])[0, 1] == pytest.approx(0.9 / np.sqrt(1.81), abs=0.02)


def test_nats_equal_pytorchs_gaussian_loss() -> None:
    mean, log_variance, targets = torch.randn(3, 4, 2, dtype=torch.float64)
    expected = torch.nn.functional.gaussian_nll_loss(mean, targets, log_variance.exp(), reduction="none")
    torch.testing.assert_close(compute_gaussian_nll((mean, log_variance), targets), expected)


def test_a_new_network_corrects_nothing() -> None:
    (mean, log_variance), _ = CorrectionNetwork("lstm", 3)(torch.randn(5, 2, 2))
    assert mean.shape == log_variance.shape == (5, 2)
    assert not mean.any()
    assert not log_variance.any()
