"""Weights of autoregressions, from errors on blocks of the series that each model was not fitted to.

``regression`` fits the models; ``candidates`` compares the finished models of all methods.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charloom.forecasting.autoregression import Indices, compute_step_weights, select_past
from charloom.forecasting.regression import AutoregressionSpec, Block, Regression
from charloom.forecasting.series import Values

# Both grids are roughly geometric: errors change little between neighboring orders or penalties.
_ORDERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_PENALTIES = (1e-6, 1e-3, 0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_NUM_BLOCKS = 5
_MIN_DIFFERENCING_GAIN = np.log(1.2)
"""Gain in log RMSE (a fifth) for which models of undifferenced values are dropped; see ``weigh_specs``."""
_ERROR_SHARPNESS = 50.0
"""Decay of a model's weight with its error: by e for 2%. The average of near-equal models beats the best of them."""
_MAX_SPECS = 20
"""Limit of averaged models, each of which every ensemble member fits again."""
_MIN_TARGETS = 8
"""Fewer targets outside a block do not determine a model."""


def weigh_specs(values: Values, horizon: int, season: int, max_lags: int | None) -> dict[AutoregressionSpec, float]:
    """Computes weights of autoregressions from their cross-validated errors 1, 2, 4, ... steps ahead.

    Each error is measured on a block of the series that the model was not fitted to. Models of undifferenced values are
    dropped if, fitted to the first half of the series, they forecast the second half worse by a fifth than models of
    differences do.

    Args:
        values: The series, of unit spread: (points,).
        horizon: Number of steps ahead.
        season: Points per season, 1 for none; seasonal differences are tried if it is known.
        max_lags: Maximum order; None for the default, 256. At most a fifth of the points either way.

    Returns:
        The weight of each specification; the weights sum to 1.
    """
    orders = _list_orders(len(values), season, max_lags)
    start = max(lag + max(lag_orders) for lag, lag_orders in orders.items())  # compare all on the same points
    excluded = [*split_blocks(len(values), _NUM_BLOCKS), (len(values) // 2, len(values))]
    errors = _Errors(values, excluded, select_steps(horizon), start)
    counts = errors.count()
    block_errors: dict[AutoregressionSpec, float] = {}
    future_errors: dict[AutoregressionSpec, float] = {}
    for lag, lag_orders in orders.items():
        for order in lag_orders:
            regression = Regression(values, lag, order)
            # All blocks and penalties in one call, because they share sums and decompositions.
            sums = errors.sum_squares(*regression.solve(excluded, _PENALTIES))
            are_few = regression.count_targets(excluded) < _MIN_TARGETS
            specs = [AutoregressionSpec(lag, order, penalty) for penalty in _PENALTIES]
            for found, part in ((block_errors, slice(-1)), (future_errors, slice(-1, None))):
                squares = np.full_like(sums[0], np.inf) if are_few[part].any() else sums[part].sum(axis=0)
                found |= zip(specs, _average_logs(squares, counts[part].sum(axis=0)).tolist(), strict=True)
    # Cross-validation flatters models with a fixed mean: a block between others holds no level that the fitted points
    # do not reach. Only a split into past and future shows whether the level moves.
    best_fixed = min(future_errors[spec] for spec in future_errors if not spec.lag)
    best_other = min(future_errors[spec] for spec in future_errors if spec.lag)
    if np.isfinite(best_other) and best_fixed - best_other > _MIN_DIFFERENCING_GAIN:
        block_errors = {spec: error for spec, error in block_errors.items() if spec.lag}
    best = min(block_errors.values())
    if not np.isfinite(best):  # the series is too short to leave a block out
        return {AutoregressionSpec(1, 1, _PENALTIES[-1]): 1.0}
    shares = {spec: float(np.exp(-_ERROR_SHARPNESS * (error - best))) for spec, error in block_errors.items()}
    chosen = sorted(shares, key=lambda spec: -shares[spec])[:_MAX_SPECS]
    # Every member fits each model again, so those with hardly any weight are dropped.
    chosen = [spec for spec in chosen if shares[spec] > 1e-4 * shares[chosen[0]]]
    total = sum(shares[spec] for spec in chosen)
    return {spec: shares[spec] / total for spec in chosen}


def _list_orders(length: int, season: int, max_lags: int | None) -> dict[int, list[int]]:
    """Returns the orders to try for each lag of differences, ascending; for the arguments of ``weigh_specs``."""
    longest = max(1, min(max_lags or _ORDERS[-1], length // 5))
    orders = {}
    for lag in [0, 1, season] if 1 < season <= length // 3 else [0, 1]:
        max_order = min(longest, max(1, length // 3 - lag))
        # The maximum order is tried even if it is not on the grid.
        orders[lag] = [*(order for order in _ORDERS if order < max_order), max_order]
    return orders


def split_blocks(length: int, number: int) -> list[Block]:
    """Splits a series into ``number`` blocks of nearly equal length. Returns the start and the end of each."""
    # Neighbors share a rounded border, so that blocks neither overlap nor leave a gap.
    return list(itertools.pairwise(np.linspace(0, length, number + 1).astype(int).tolist()))


def select_steps(horizon: int) -> Indices:
    """Returns the steps ahead at which models are compared: 1, 2, 4, ... and the last."""
    # np.unique drops the second copy of a horizon that is a power of two.
    return np.unique(np.append(2 ** np.arange(int(np.log2(horizon)) + 1), horizon))


class _Errors:
    """Errors of models on blocks that they were not fitted to, from origins that are the same for all orders.

    Args:
        values: The series: (points,).
        blocks: Start and end of each block.
        steps: Numbers of steps ahead.
        start: First origin: the largest number of past values that a model uses.
    """

    def __init__(self, values: Values, blocks: Sequence[Block], steps: Indices, start: int) -> None:
        self._steps = steps
        origins = np.arange(start, len(values))
        # The latest value first, so that models of all orders use the same array.
        past = torch.from_numpy(np.ascontiguousarray(select_past(values, origins, start)))
        targets = origins[:, None] + steps - 1
        true = values[np.minimum(targets, len(values) - 1)]
        self._parts: list[tuple[Tensor, Values, NDArray[np.bool_]]] = []
        for block in blocks:
            inside = (targets >= block[0]) & (targets < block[1])
            # Origins before the first that reaches into the block, and after the last, have no target in it.
            rows = np.flatnonzero(inside.any(axis=1))
            chosen = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0)
            self._parts.append((past[chosen], true[chosen], inside[chosen]))

    def sum_squares(self, coefficients: Values, intercepts: Values) -> Values:
        """Sums the squared errors of each block's models.

        Args:
            coefficients: Coefficients of the models, the latest value first: (blocks, models, order).
            intercepts: Constant terms: (blocks, models).

        Returns:
            Sums: (blocks, steps, models).
        """
        blocks, models, order = coefficients.shape
        weights, constants = compute_step_weights(coefficients.reshape(-1, order), intercepts.reshape(-1), self._steps)
        weights = weights.reshape(len(self._steps), blocks, models, order)
        constants = constants.reshape(len(self._steps), blocks, models)
        sums = np.empty((blocks, len(self._steps), models))
        with np.errstate(all="ignore"):  # an unstable model may leave the range of floats: its error is infinite
            for number, (past, true, inside) in enumerate(self._parts):
                of_block = torch.from_numpy(weights[:, number].reshape(-1, order))
                # NumPy's product would use all cores for matrices that need only one.
                found = (past[:, :order] @ of_block.T).numpy().reshape(len(past), len(self._steps), models)
                errors = np.where(inside[..., None], true[..., None] - found - constants[:, number], 0.0)
                sums[number] = np.einsum("osm,osm->sm", errors, errors)
        return sums

    def count(self) -> NDArray[np.int64]:
        """Counts the errors of each block and step: (blocks, steps)."""
        return np.array([inside.sum(axis=0) for _, _, inside in self._parts])


def _average_logs(squares: Values, counts: NDArray[np.int64]) -> Values:
    """Averages the log RMSE over the steps.

    Args:
        squares: Sums of squared errors: (steps, models).
        counts: Number of errors of each step: (steps,).

    Returns:
        Means, infinity for a model without errors or with infinite ones: (models,).
    """
    is_measured = counts > 0
    if not is_measured.any():
        return np.full(squares.shape[1], np.inf)
    tiny = np.finfo(float).tiny  # a perfect forecast has no logarithm of its error
    with np.errstate(all="ignore"):
        means: Values = np.mean(0.5 * np.log(squares[is_measured] / counts[is_measured, None] + tiny), axis=0)
    return np.where(np.isfinite(means), means, np.inf)
