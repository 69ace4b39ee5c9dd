"""Which autoregressions: differences, order and shrinkage, by errors of many steps on points left out."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charloom.forecasting.autoregression import Linear, Regression, average, past_values
from charloom.forecasting.series import Values

_ORDERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SHRINKAGES = (1e-6, 1e-3, 0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_BLOCKS = 5
_FORGOTTEN = np.log(1.2)
"""See ``choose_lags``."""
_SHARPNESS = 50.0
"""How fast a weight falls with its error: by e for 2 %. Averages of near equals beat the best of them."""
_MOST_KINDS = 20
_FEWEST_TARGETS = 8


class Kind(NamedTuple):
    """An autoregression that could be fitted, on values or, with a lag, on differences of values so far apart."""

    lag: int
    order: int
    shrinkage: float


def fit_lags(weights: dict[Kind, float], values: Values, left_out: tuple[int, int] = (0, 0)) -> Linear:
    """The weighted average, fitted to all targets but those at places ``left_out[0]`` to ``left_out[1] - 1``."""
    models = []
    for kind in weights:
        regression = Regression(values, kind.lag, kind.order)
        models += regression.solve(_outside(regression.places, left_out), (kind.shrinkage,))
    return average(models, list(weights.values()))


def choose_lags(values: Values, horizon: int, season: int, max_lags: int | None) -> dict[Kind, float]:
    """Weighs autoregressions by their errors 1, 2, 4, ... steps ahead, on blocks of the series that each did not see.

    Blocks between others flatter models with a fixed mean: they never have to go where the series has not been. So such
    models are dropped where the first half of the series alone forecasts the second half better (by a fifth) with
    differences.
    """
    steps = compared_steps(horizon)
    longest = max(1, min(max_lags or _ORDERS[-1], len(values) // 5))
    blocks = blocks_of(len(values), _BLOCKS)
    half = len(values) // 2
    lags = [0, 1, season] if 1 < season <= len(values) // 3 else [0, 1]
    orders = {lag: _orders(lag, longest, len(values)) for lag in lags}
    begin = max(lag + max(some) for lag, some in orders.items())  # the same points for all
    between: dict[Kind, float] = {}
    after: dict[Kind, float] = {}
    for lag, some in orders.items():
        for order in some:
            regression = Regression(values, lag, order)
            kinds = [Kind(lag, order, shrinkage) for shrinkage in _SHRINKAGES]
            kept = [_outside(regression.places, block) for block in blocks]
            forward = [regression.places < half]
            between |= zip(kinds, _errors(values, regression, kept, blocks, steps, begin), strict=True)
            after |= zip(kinds, _errors(values, regression, forward, [(half, len(values))], steps, begin), strict=True)
    best_fixed = min(after[kind] for kind in after if not kind.lag)
    best_other = min(after[kind] for kind in after if kind.lag)
    if np.isfinite(best_other) and best_fixed - best_other > _FORGOTTEN:
        between = {kind: error for kind, error in between.items() if kind.lag}
    best = min(between.values())
    if not np.isfinite(best):  # too short to leave anything out
        return {Kind(1, 1, _SHRINKAGES[-1]): 1.0}
    shares = {kind: float(np.exp(-_SHARPNESS * (error - best))) for kind, error in between.items()}
    chosen = sorted(shares, key=lambda kind: -shares[kind])[:_MOST_KINDS]
    chosen = [kind for kind in chosen if shares[kind] > 1e-4 * shares[chosen[0]]]
    total = sum(shares[kind] for kind in chosen)
    return {kind: shares[kind] / total for kind in chosen}


def blocks_of(length: int, number: int) -> list[tuple[int, int]]:
    """Begin and end of as many blocks that share a series out."""
    return list(itertools.pairwise(np.linspace(0, length, number + 1).astype(int).tolist()))


def compared_steps(horizon: int) -> NDArray[np.int64]:
    """The steps ahead that models are compared at: 1, 2, 4, ... and the last."""
    return np.unique(np.append(2 ** np.arange(int(np.log2(horizon)) + 1), horizon))


def _orders(lag: int, longest: int, length: int) -> list[int]:
    most = min(longest, max(1, length // 3 - lag))
    return sorted({order for order in _ORDERS if order < most} | {most})


def _outside(places: NDArray[np.int64], stretch: tuple[int, int]) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = (places < stretch[0]) | (places >= stretch[1])
    return outside


def _errors(
    values: Values,
    regression: Regression,
    kept: list[NDArray[np.bool_]],
    stretches: list[tuple[int, int]],
    steps: NDArray[np.int64],
    begin: int,
) -> list[float]:
    """For each shrinkage the mean log RMSE over the steps ahead, each stretch forecast by what was kept for it."""
    squares = np.zeros((len(_SHRINKAGES), len(steps)))
    counts = np.zeros(len(steps), dtype=int)
    origins = np.arange(begin, len(values))
    for stretch, targets in zip(stretches, kept, strict=True):
        if targets.sum() < _FEWEST_TARGETS:
            return [np.inf] * len(_SHRINKAGES)
        models = regression.solve(targets, _SHRINKAGES)
        past = past_values(values, origins, models[0].order)
        ahead = [model.steps_ahead(int(steps[-1])) for model in models]
        for j, step in enumerate(steps):
            places = origins + step - 1
            inside = (places >= stretch[0]) & (places < stretch[1])
            if not inside.any():
                continue
            coefficients = np.stack([a[step - 1] for a, _ in ahead], axis=1)
            intercepts = np.array([c[step - 1] for _, c in ahead])
            with np.errstate(all="ignore"):  # an unstable one may leave the range of floats: it is not chosen
                errors = values[places[inside], None] - past[inside] @ coefficients - intercepts
                squares[:, j] += np.sum(errors**2, axis=0)
            counts[j] += int(inside.sum())
    tried = counts > 0
    if not tried.any():
        return [np.inf] * len(_SHRINKAGES)
    tiny = np.finfo(float).tiny
    with np.errstate(all="ignore"):
        means = np.mean(0.5 * np.log(squares[:, tried] / counts[tried] + tiny), axis=1)
    return [float(mean) if np.isfinite(mean) else np.inf for mean in means]
