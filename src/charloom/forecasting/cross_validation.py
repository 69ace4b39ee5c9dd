"""Weights of autoregressions, from errors on blocks of the series that each model was not fitted to.

``autoregression`` has the models; ``candidates`` compares the finished models of all methods.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from charloom.forecasting.autoregression import (
    AutoregressionSpec,
    Regression,
    compute_step_weights,
    is_outside,
    select_past,
)
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
    steps = select_steps(horizon)
    longest = max(1, min(max_lags or _ORDERS[-1], len(values) // 5))
    blocks = split_blocks(len(values), _NUM_BLOCKS)
    second_half = [(len(values) // 2, len(values))]
    lags = [0, 1, season] if 1 < season <= len(values) // 3 else [0, 1]
    orders: dict[int, set[int]] = {}
    for lag in lags:
        max_order = min(longest, max(1, len(values) // 3 - lag))
        # The maximum order is tried even if it is not on the grid.
        orders[lag] = {order for order in _ORDERS if order < max_order} | {max_order}
    start = max(lag + max(lag_orders) for lag, lag_orders in orders.items())  # compare all on the same points
    block_errors: dict[AutoregressionSpec, float] = {}
    future_errors: dict[AutoregressionSpec, float] = {}
    for lag, lag_orders in orders.items():
        for order in sorted(lag_orders):
            regression = Regression(values, lag, order)
            specs = [AutoregressionSpec(lag, order, penalty) for penalty in _PENALTIES]
            block_errors |= zip(specs, _compute_log_errors(values, regression, blocks, steps, start), strict=True)
            future_errors |= zip(specs, _compute_log_errors(values, regression, second_half, steps, start), strict=True)
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


def split_blocks(length: int, number: int) -> list[tuple[int, int]]:
    """Splits a series into ``number`` blocks of nearly equal length. Returns the start and the end of each."""
    # Neighbors share a rounded border, so that blocks neither overlap nor leave a gap.
    return list(itertools.pairwise(np.linspace(0, length, number + 1).astype(int).tolist()))


def select_steps(horizon: int) -> NDArray[np.int64]:
    """Returns the steps ahead at which models are compared: 1, 2, 4, ... and the last."""
    # np.unique drops the second copy of a horizon that is a power of two.
    return np.unique(np.append(2 ** np.arange(int(np.log2(horizon)) + 1), horizon))


def _compute_log_errors(
    values: Values,
    regression: Regression,
    blocks: list[tuple[int, int]],
    steps: NDArray[np.int64],
    start: int,
) -> list[float]:
    """Computes the mean log RMSE over the steps for each of ``_PENALTIES``.

    Each block is forecast by models fitted to the points outside it, from origins at ``start`` or later.
    """
    squares = np.zeros((len(_PENALTIES), len(steps)))
    counts = np.zeros(len(steps), dtype=int)
    origins = np.arange(start, len(values))
    for block in blocks:
        targets = is_outside(regression.indices, block)
        if targets.sum() < _MIN_TARGETS:
            return [np.inf] * len(_PENALTIES)
        # All penalties in one call, because they share the decomposition.
        models = regression.solve(targets, _PENALTIES)
        past = select_past(values, origins, models[0].order)
        coefficients, intercepts = compute_step_weights(models, steps)
        for j, step in enumerate(steps):
            indices = origins + step - 1
            inside = (indices >= block[0]) & (indices < block[1])
            if not inside.any():
                continue
            with np.errstate(all="ignore"):  # an unstable model may leave the range of floats: its error is infinite
                errors = values[indices[inside], None] - past[inside] @ coefficients[j].T - intercepts[j]
                squares[:, j] += np.sum(errors**2, axis=0)
            counts[j] += int(inside.sum())
    is_measured = counts > 0
    if not is_measured.any():
        return [np.inf] * len(_PENALTIES)
    tiny = np.finfo(float).tiny  # a perfect forecast has no logarithm of its error
    with np.errstate(all="ignore"):
        means = np.mean(0.5 * np.log(squares[:, is_measured] / counts[is_measured] + tiny), axis=1)
    return [float(mean) if np.isfinite(mean) else np.inf for mean in means]
