"""Linear autoregression: least squares on past values, shrunk where the data say little; which order, by errors.

Differences are no other model: an autoregression of differences, multiplied out, is one of values whose coefficients
sum to one. So everything here forecasts values.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import InputError
from charloom.forecasting.series import Values, as_array

Places = NDArray[np.int64]

_MAX_VALUE = 1e100
"""Squares of larger values, and sums of them, leave the range of floats."""
_ORDERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SHRINKAGES = (1e-6, 1e-3, 0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_BLOCKS = 5
_FORGOTTEN = np.log(1.2)
"""See ``choose_lags``."""
_SHARPNESS = 50.0
"""Decay of a weight with its error: by e for 2 %. Averages of near equals beat the best of them."""
_MAX_KINDS = 20
_MIN_TARGETS = 8


@dataclass(frozen=True)
class Linear:
    """x_t = intercept + sum_i coefficients[i] x_{t-1-i}."""

    coefficients: Values
    intercept: float

    @property
    def order(self) -> int:
        """How many past values it takes."""
        return len(self.coefficients)

    def next_values(self, values: Values) -> Values:
        """One-step predictions of ``values[order:]``. Returns (points - order,)."""
        windows = np.lib.stride_tricks.sliding_window_view(values[:-1], self.order)
        return windows @ self.coefficients[::-1] + self.intercept

    def steps_ahead(self, horizon: int) -> tuple[Values, Values]:
        """Coefficients (horizon, order) and intercepts (horizon,) of each step's forecast, fed the ones before."""
        coefficients = np.zeros((horizon, self.order), dtype=np.float64)
        intercepts = np.full(horizon, self.intercept)
        for step in range(horizon):
            kept = max(self.order - step, 0)
            coefficients[step, :kept] = self.coefficients[self.order - kept :]
            own = min(step, self.order)
            weights = self.coefficients[:own][::-1]
            coefficients[step] += weights @ coefficients[step - own : step]
            intercepts[step] += weights @ intercepts[step - own : step]
        return coefficients, intercepts

    def forecast(self, values: Values, origins: Places, horizon: int) -> Values:
        """Forecasts from each origin, the place of the first unknown value. Returns (origins, horizon)."""
        coefficients, intercepts = self.steps_ahead(horizon)
        with np.errstate(all="ignore"):  # an unstable one may leave the range of floats
            return _bounded(past_values(values, origins, self.order) @ coefficients.T + intercepts)

    def error_growth(self, horizon: int, num_fitted: int | None = None) -> Values:
        """Standard deviations of errors 1, 2, ... steps ahead if those of one step are independent and have 1.

        num_fitted: Points that the intercept was estimated from, whose error adds to the others; None if it is known.

        Returns (horizon,). Source: Brockwell and Davis, Introduction to Time Series and Forecasting, 2002, section 3.3.
        """
        responses = np.zeros(horizon)  # to an error of 1 in the first step
        responses[0] = 1.0
        with np.errstate(all="ignore"):
            for step in range(1, horizon):
                near = min(step, self.order)
                responses[step] = self.coefficients[:near] @ responses[step - near : step][::-1]
            variances = np.cumsum(responses**2)
            if num_fitted is not None:
                variances = variances + np.cumsum(responses) ** 2 / num_fitted
            return _bounded(np.sqrt(variances))


def _bounded(values: Values) -> Values:
    """Finite, whatever an unstable autoregression makes of them."""
    return np.nan_to_num(np.clip(values, -_MAX_VALUE, _MAX_VALUE), nan=_MAX_VALUE)


def check_origins(origins: object, needed: int, length: int) -> Places:
    """The origins as an array. Raises InputError unless each has ``needed`` of ``length`` values before it."""
    places = as_array(origins)
    if places is None or places.dtype.kind not in "iu" or places.ndim != 1:
        raise InputError("must be a list of whole numbers", setting="origins")
    found = places.astype(np.int64)
    if not len(found) or found.min() < needed:
        known = found.min() if len(found) else 0
        raise InputError(f"a forecast needs {needed} values before it, and there are {known}")
    if found.max() > length:
        raise InputError(f"origin {found.max()} is beyond the end of {length} values")
    return found


def past_values(values: Values, origins: Places, length: int) -> Values:
    """The ``length`` values before each origin, the latest first: (origins, length)."""
    origins = check_origins(origins, length, len(values))
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    return windows[origins - length][:, ::-1]


def future_values(values: Values, origins: Places, horizon: int) -> Values:
    """The values from each origin on, not a number after the end: (origins, horizon)."""
    places = origins[:, None] + np.arange(horizon)
    return np.where(places < len(values), values[np.minimum(places, len(values) - 1)], np.nan)


class Regression:
    """Least squares of a value on ``order`` before it, to be solved for several sets of targets and shrinkages.

    With a lag, it is on differences of values so far apart, and solutions are multiplied out to values.
    """

    def __init__(self, values: Values, lag: int, order: int) -> None:
        differences = values[lag:] - values[: len(values) - lag] if lag else values
        self._lag = lag
        self._scale = float(differences.std()) or 1.0
        scaled = differences / self._scale
        self._inputs = np.lib.stride_tricks.sliding_window_view(scaled[:-1], order)[:, ::-1]
        self._targets = scaled[order:]
        self.places = np.arange(lag + order, len(values))
        """Where in ``values`` the targets stand."""

    def solve(self, kept: NDArray[np.bool_], shrinkages: tuple[float, ...]) -> list[Linear]:
        """A model for each shrinkage, fitted to the targets that are kept."""
        inputs, targets = self._inputs[kept], self._targets[kept]
        input_mean, target_mean = inputs.mean(0), float(targets.mean())
        centred = inputs - input_mean
        # PyTorch's: numpy's takes all processors for matrices that one is enough for.
        tensor = torch.from_numpy(centred)
        powers, directions = (part.numpy() for part in torch.linalg.eigh(tensor.T @ tensor))
        powers = np.maximum(powers, 0.0)
        products = directions.T @ (tensor.T @ torch.from_numpy(targets - target_mean)).numpy()
        models = []
        for shrinkage in shrinkages:
            # Ridge regression shrinks a direction of power p by p / (p + s). This, by p^2 / (p^2 + s^2), leaves strong
            # directions (a slow wave) as they are, and drops weak ones (noise): coefficients are believed to be large
            # where inputs are.
            solution = directions @ (products * powers / (powers**2 + shrinkage**2))
            intercept = (target_mean - float(input_mean @ solution)) * self._scale
            if self._lag:
                factor = np.zeros(self._lag + 1)
                factor[0], factor[-1] = 1, -1
                solution = -np.convolve(np.concatenate([[1.0], -solution]), factor)[1:]
            models.append(Linear(solution, intercept))
        return models


def least_squares(values: Values, order: int) -> Linear:
    """The textbook's AR(order): no shrinkage, all points."""
    inputs = past_values(values, np.arange(order, len(values)), order)
    design = np.hstack([np.ones((len(inputs), 1)), inputs])
    solution: Values = np.linalg.lstsq(design, values[order:], rcond=None)[0].astype(np.float64)
    return Linear(solution[1:], float(solution[0]))


def average(models: Sequence[Linear], weights: Sequence[float]) -> Linear:
    """One model of several, of the longest order among them."""
    coefficients = np.zeros(max(model.order for model in models))
    for model, weight in zip(models, weights, strict=True):
        coefficients[: model.order] += weight * model.coefficients
    intercept = sum(weight * model.intercept for model, weight in zip(models, weights, strict=True))
    return Linear(coefficients, intercept)


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
    orders: dict[int, set[int]] = {}
    for lag in lags:
        most = min(longest, max(1, len(values) // 3 - lag))
        orders[lag] = {order for order in _ORDERS if order < most} | {most}
    begin = max(lag + max(some) for lag, some in orders.items())  # the same points for all
    between: dict[Kind, float] = {}
    after: dict[Kind, float] = {}
    for lag, some in orders.items():
        for order in sorted(some):
            regression = Regression(values, lag, order)
            kinds = [Kind(lag, order, shrinkage) for shrinkage in _SHRINKAGES]
            between |= zip(kinds, _errors(values, regression, blocks, steps, begin), strict=True)
            after |= zip(kinds, _errors(values, regression, [(half, len(values))], steps, begin), strict=True)
    best_fixed = min(after[kind] for kind in after if not kind.lag)
    best_other = min(after[kind] for kind in after if kind.lag)
    if np.isfinite(best_other) and best_fixed - best_other > _FORGOTTEN:
        between = {kind: error for kind, error in between.items() if kind.lag}
    best = min(between.values())
    if not np.isfinite(best):  # too short to leave anything out
        return {Kind(1, 1, _SHRINKAGES[-1]): 1.0}
    shares = {kind: float(np.exp(-_SHARPNESS * (error - best))) for kind, error in between.items()}
    chosen = sorted(shares, key=lambda kind: -shares[kind])[:_MAX_KINDS]
    chosen = [kind for kind in chosen if shares[kind] > 1e-4 * shares[chosen[0]]]
    total = sum(shares[kind] for kind in chosen)
    return {kind: shares[kind] / total for kind in chosen}


def blocks_of(length: int, number: int) -> list[tuple[int, int]]:
    """Begin and end of as many blocks that share a series out."""
    return list(itertools.pairwise(np.linspace(0, length, number + 1).astype(int).tolist()))


def compared_steps(horizon: int) -> NDArray[np.int64]:
    """The steps ahead that models are compared at: 1, 2, 4, ... and the last."""
    return np.unique(np.append(2 ** np.arange(int(np.log2(horizon)) + 1), horizon))


def _outside(places: NDArray[np.int64], stretch: tuple[int, int]) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = (places < stretch[0]) | (places >= stretch[1])
    return outside


def _errors(
    values: Values,
    regression: Regression,
    stretches: list[tuple[int, int]],
    steps: NDArray[np.int64],
    begin: int,
) -> list[float]:
    """For each shrinkage the mean log RMSE over the steps ahead, each stretch forecast by the points outside it."""
    squares = np.zeros((len(_SHRINKAGES), len(steps)))
    counts = np.zeros(len(steps), dtype=int)
    origins = np.arange(begin, len(values))
    for stretch in stretches:
        targets = _outside(regression.places, stretch)
        if targets.sum() < _MIN_TARGETS:
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
