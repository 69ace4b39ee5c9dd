"""Regularized least squares: fits of linear autoregressions without some blocks of a series, and weighted sums of fits.

``baselines`` has the textbook's AR(p). An autoregression of differences, multiplied out, is an autoregression of values
whose coefficients sum to one, so every model here forecasts values.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from charloom.forecasting.autoregression import Indices, Linear, select_past
from charloom.forecasting.series import Values

Block: TypeAlias = tuple[int, int]
"""Start and end of a half-open range of indices of a series."""


class Regression:
    """Least-squares regression of a value on the ``order`` values before it, for several sets of targets and penalties.

    Args:
        values: The series: (points,).
        lag: Lag of the differences that are regressed instead of the values; 0 for the values. Solutions are multiplied
            out to coefficients of values.
        order: Number of past values or differences.
    """

    def __init__(self, values: Values, lag: int, order: int) -> None:
        differences = values[lag:] - values[: len(values) - lag] if lag else values
        self._lag = lag
        # Unit spread gives one grid of penalties the same meaning for values and differences.
        self._scale = float(differences.std()) or 1.0
        scaled = differences / self._scale
        # Sums of squares of values near zero lose fewer digits when the squares of their means are subtracted.
        self._center = float(scaled.mean())
        # The latest value first, and the target before it.
        windows = np.lib.stride_tricks.sliding_window_view(scaled - self._center, order + 1)[:, ::-1]
        self._rows = torch.from_numpy(np.hstack([windows, np.ones((len(windows), 1))]))
        self._first = lag + order

    def solve(self, excluded: Sequence[Block], penalties: Sequence[float]) -> tuple[Values, Values]:
        """Fits models with a generalized Tikhonov penalty, s^2 b'(X'X)^-1 b for coefficients b and inputs X.

        It keeps directions of large variance and drops weak ones. The intercept is not penalized.

        Args:
            excluded: Blocks of ``values``; models are fitted to the targets outside each of them.
            penalties: Values of s, for inputs of unit spread.

        Returns:
            Coefficients of values, the latest first, (blocks, penalties, lag + order), and intercepts, (blocks,
            penalties).
        """
        sums = self._sum_products(excluded)
        count = sums[:, -1:, -1]
        target_mean, input_mean = sums[:, 0, -1] / count[:, 0], sums[:, 1:-1, -1] / count
        # Sums of products of deviations from the means, which each block has of its own.
        products = sums[:, 1:-1, 1:-1] - sums[:, 1:-1, -1:] * input_mean[:, None]
        with_target = sums[:, 1:-1, 0] - sums[:, 1:-1, -1] * target_mean[:, None]
        # NumPy's product and eigh would use all cores for matrices that need only one. The decomposition is shared
        # by all penalties.
        powers, directions = torch.linalg.eigh(products)
        powers = powers.clamp(min=0.0)[..., None]  # rounding makes zero eigenvalues slightly negative
        along = directions.mT @ with_target[..., None]
        # Ridge regression multiplies a direction of power p by p / (p + s), this by p^2 / (p^2 + s^2), which keeps
        # strong directions (a slow wave) unchanged and drops weak ones (noise). The prior: coefficients are large in
        # the directions in which the inputs are large.
        squares = torch.tensor(penalties, dtype=torch.float64, device="cpu") ** 2
        solutions = (directions @ (along * powers / (powers**2 + squares))).mT
        intercepts = target_mean[:, None] - (solutions @ input_mean[..., None])[..., 0]
        intercepts += self._center * (1 - solutions.sum(-1))
        found: Values = solutions.numpy()
        if self._lag:
            # Multiply the polynomial of the differences by 1 - B^lag (B: backward shift) to forecast values.
            shifted = np.zeros((*found.shape[:2], self._lag))
            found = np.concatenate([found, shifted], axis=-1) - np.concatenate([shifted, found], axis=-1)
            found[..., self._lag - 1] += 1.0
        return found, intercepts.numpy() * self._scale

    def count_targets(self, excluded: Sequence[Block]) -> Indices:
        """Counts the targets outside each block: (blocks,)."""
        blocks = self._clip(excluded)
        return len(self._rows) - (blocks[:, 1] - blocks[:, 0])

    def _clip(self, excluded: Sequence[Block]) -> Indices:
        """Returns the ranges of targets in the blocks: (blocks, 2)."""
        return np.clip(np.array(excluded, dtype=np.int64) - self._first, 0, len(self._rows))

    def _sum_products(self, excluded: Sequence[Block]) -> Tensor:
        """Sums the products of target, inputs and 1 with one another over the targets outside each block.

        Returns (blocks, order + 2, order + 2).
        """
        blocks = self._clip(excluded)
        # The targets between two borders are in the sums of a block or not, all together: each is multiplied once.
        borders = np.unique(np.concatenate([blocks.ravel(), [0, len(self._rows)]]))
        parts = [self._rows[start:end] for start, end in itertools.pairwise(borders.tolist())]
        products = torch.stack([part.T @ part for part in parts])
        outside = (borders[:-1] < blocks[:, :1]) | (borders[:-1] >= blocks[:, 1:])
        found: Tensor = torch.tensordot(torch.from_numpy(outside.astype(np.float64)), products, 1)
        return found


def fit_least_squares(values: Values, order: int) -> Linear:
    """Fits the textbook's AR(order) to all points, without a penalty."""
    inputs = select_past(values, np.arange(order, len(values)), order)
    design = np.hstack([np.ones((len(inputs), 1)), inputs])
    # NumPy's function would use all cores for a matrix that needs only one. gelsd is the driver of NumPy, which also
    # solves a design without full rank.
    targets = torch.from_numpy(values[order:, None].copy())
    solution: Values = torch.linalg.lstsq(torch.from_numpy(design), targets, driver="gelsd").solution[:, 0].numpy()
    return Linear(solution[1:], float(solution[0]))


class AutoregressionSpec(NamedTuple):
    """Specification of an autoregression to fit.

    Attributes:
        lag: Lag of the differences that it is fitted to; 0 for values.
        order: Number of past values or differences.
        penalty: Factor s of the penalty of ``Regression.solve``.
    """

    lag: int
    order: int
    penalty: float


def fit_averages(weights: dict[AutoregressionSpec, float], values: Values, excluded: Sequence[Block]) -> list[Linear]:
    """Fits each specification without each block. Returns, for each block, the sum of weight times model.

    Args:
        weights: Weights of the specifications; they must sum to one.
        values: The series: (points,).
        excluded: Blocks of targets to leave out.
    """
    largest = max(spec.lag + spec.order for spec in weights)
    coefficients, intercepts = np.zeros((len(excluded), largest)), np.zeros(len(excluded))
    by_inputs = sorted(weights, key=lambda spec: (spec.lag, spec.order))
    # Penalties of the same inputs share a decomposition.
    for (lag, order), group in itertools.groupby(by_inputs, key=lambda spec: (spec.lag, spec.order)):
        specs = list(group)
        found, constants = Regression(values, lag, order).solve(excluded, [spec.penalty for spec in specs])
        shares = np.array([weights[spec] for spec in specs])
        coefficients[:, : lag + order] += np.einsum("bpi,p->bi", found, shares)
        intercepts += constants @ shares
    return [Linear(some, float(intercept)) for some, intercept in zip(coefficients, intercepts, strict=True)]
