"""Sampled paths of ensemble members against loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from charloom.forecasting.autoregression import Linear
from charloom.forecasting.network import Member, ResidualConfig, ResidualNetwork, compute_gaussian_nll, draw_paths


def _member(seed: int) -> Member:
    """Returns a member whose network is not zero."""
    torch.manual_seed(seed)
    network = ResidualNetwork("gru", 8)
    torch.nn.init.normal_(network.head.weight)
    return Member(Linear(np.array([0.5, -0.2, 0.1]), 0.3), 0.7, network.eval(), (0, 1))


def test_many_steps_without_noise_equal_one_step_repeated() -> None:
    """``draw_paths`` carries the network's state; here every step reads everything from the start."""
    member, config = _member(0), ResidualConfig(context=5, window_spread=1.3, shrinkage=0.75)
    values = np.random.default_rng(0).normal(size=20)
    (paths,) = draw_paths([member], config, values, [np.array([12, 20])], 4, [1], None)
    (found,) = paths
    for row, origin in zip(found, (12, 20), strict=True):
        known = list(values[:origin])
        center = np.mean(known[-5:])
        for step in range(4):
            indices = range(origin - 5, origin + step)
            linear = {
                t: 0.3 + 0.5 * known[t - 1] - 0.2 * known[t - 2] + 0.1 * known[t - 3] for t in (*indices, origin + step)
            }
            seen = [[(known[t] - center) / 1.3, (known[t] - linear[t]) / 0.7] for t in indices]
            with torch.no_grad():
                assert member.network is not None
                (mean, _), _ = member.network(torch.tensor(seen, dtype=torch.float32)[:, None])
            known.append(linear[origin + step] + 0.7 * 0.75 * float(mean[-1, 0]))
        assert row == pytest.approx(known[origin:], abs=1e-5)


def test_members_that_step_together_have_the_paths_of_each_by_itself() -> None:
    """Members differ in weights, orders, origins and numbers of paths; without noise their paths are determined."""
    config, values = ResidualConfig(context=5, window_spread=1.3, shrinkage=0.75), np.sin(np.arange(30.0))
    members = [_member(0), replace(_member(1), linear=Linear(np.array([0.7]), -0.1), spread=0.4)]
    origins, num_paths = [np.array([12, 20, 29]), np.array([8])], [2, 3]
    found = draw_paths(members, config, values, origins, 6, num_paths, None)
    for paths, member, some, number in zip(found, members, origins, num_paths, strict=True):
        assert paths.shape == (number, len(some), 6)
        (alone,) = draw_paths([member], config, values, [some], 6, [1], None)
        assert paths == pytest.approx(np.repeat(alone, number, axis=0), abs=1e-6)


def test_paths_of_an_unstable_member_are_finite() -> None:
    member = Member(Linear(np.array([3.0, -1.0]), 0.0), 2.0)
    generator = torch.Generator().manual_seed(0)
    (paths,) = draw_paths([member], ResidualConfig(2, 1.0, 1.0), np.ones(9), [np.array([9])], 3000, [8], generator)
    assert np.isfinite(paths).all()
    assert np.abs(paths[..., -1]) == pytest.approx(1e15)


def test_paths_have_the_spread_of_the_process() -> None:
    """A network that corrects nothing: the paths are the autoregression's, their mean exactly its forecast."""
    torch.manual_seed(0)
    member = Member(Linear(np.array([0.9]), 0.0), 2.0, ResidualNetwork("gru", 4).eval(), (0, 1))
    values = np.array([0.0, 1.0, 2.0, 3.0])
    generator = torch.Generator().manual_seed(0)
    (found,) = draw_paths([member], ResidualConfig(2, 1.0, 1.0), values, [np.array([4])], 5, [20_000], generator)
    paths = found[:, 0]
    assert paths.mean(0) == pytest.approx(3 * 0.9 ** np.arange(1, 6), abs=1e-4)
    assert paths.std(0) == pytest.approx(2 * np.sqrt(np.cumsum(0.81 ** np.arange(5))), rel=0.02)
    assert np.corrcoef(paths[:, 0], paths[:, 1])[0, 1] == pytest.approx(0.9 / np.sqrt(1.81), abs=0.02)


def test_loss_equals_pytorchs_gaussian_loss() -> None:
    mean, log_variance, targets = torch.randn(3, 4, 2, dtype=torch.float64)
    expected = torch.nn.functional.gaussian_nll_loss(mean, targets, log_variance.exp(), reduction="none")
    torch.testing.assert_close(compute_gaussian_nll((mean, log_variance), targets), expected)


def test_a_new_network_corrects_nothing() -> None:
    (mean, log_variance), _ = ResidualNetwork("lstm", 3)(torch.randn(5, 2, 2))
    assert mean.shape == log_variance.shape == (5, 2)
    assert not mean.any()
    assert not log_variance.any()


def test_the_predicted_variance_is_limited() -> None:
    """A network that is certain of anything, or of nothing, would make the paths useless."""
    network = ResidualNetwork("gru", 3)
    for bias, limit in ((100.0, 3.0), (-100.0, -6.0)):
        torch.nn.init.constant_(network.head.bias, bias)
        (_, log_variance), _ = network(torch.randn(5, 2, 2))
        assert (log_variance == limit).all()
