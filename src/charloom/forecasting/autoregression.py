"""Linear autoregressions: regularized least squares, weighted sums of models, forecasts of several steps.

The linear part of the ensemble in ``network``; ``baselines`` has the textbook's AR(p). An autoregression of
differences, multiplied out, is an autoregression of values whose coefficients sum to one, so every model here forecasts
values.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import InputError, pluralize
from charloom.forecasting.series import Values, as_array

Indices = NDArray[np.int64]

_MAX_VALUE = 1e100
"""Limit of forecasts: squares of values up to it, and sums of such squares, stay in the range of floats."""


@dataclass(frozen=True)
class Linear:
    """Autoregression x_t = intercept + sum_i coefficients[i] x_{t-1-i}.

    Attributes:
        coefficients: Coefficients of the past values, the latest first: (order,).
        intercept: Constant term.
    """

    coefficients: Values
    intercept: float

    @property
    def order(self) -> int:
        """Number of past values that a prediction uses."""
        return len(self.coefficients)

    def predict_next(self, values: Values) -> Values:
        """Predicts each of ``values[order:]`` from the values before it. Returns (points - order,)."""
        windows = np.lib.stride_tricks.sliding_window_view(values[:-1], self.order)
        # Windows are in the order of time, and the coefficients have the latest value first.
        return windows @ self.coefficients[::-1] + self.intercept

    def forecast(self, values: Values, origins: Indices, horizon: int) -> Values:
        """Forecasts from each origin, the index of the first unknown value. Returns (origins, horizon)."""
        coefficients, intercepts = compute_step_weights([self], np.arange(1, horizon + 1))
        with np.errstate(all="ignore"):
            return _clip_to_finite(select_past(values, origins, self.order) @ coefficients[:, 0].T + intercepts[:, 0])

    def compute_error_std(self, horizon: int, num_fitted: int | None = None) -> Values:
        """Computes standard deviations of forecast errors if one-step errors are independent with standard deviation 1.

        Source: Brockwell and Davis, Introduction to Time Series and Forecasting, 2002, section 3.3.

        Args:
            horizon: Number of steps ahead.
            num_fitted: Number of points that the intercept was estimated from; the error of that estimate adds to the
                others. None: the intercept is known.

        Returns:
            Standard deviations 1, 2, ... steps ahead: (horizon,).
        """
        responses = np.zeros(horizon)  # the impulse response: effect of an error of 1 in the first step
        responses[0] = 1.0
        with np.errstate(all="ignore"):
            for step in range(1, horizon):
                near = min(step, self.order)
                responses[step] = self.coefficients[:near] @ responses[step - near : step][::-1]
            variances = np.cumsum(responses**2)
            if num_fitted is not None:
                # An error of the intercept enters every step, and its variance is that of a mean of num_fitted errors.
                variances = variances + np.cumsum(responses) ** 2 / num_fitted
            return _clip_to_finite(np.sqrt(variances))


def compute_step_weights(models: Sequence[Linear], steps: Indices) -> tuple[Values, Values]:
    """Computes the coefficients of known values, and the intercepts, of forecasts some steps ahead.

    Args:
        models: Models of one order.
        steps: Numbers of steps ahead, from 1.

    Returns:
        The coefficients, the latest value first, (steps, models, order), and the intercepts, (steps, models).
    """
    coefficients = np.stack([model.coefficients for model in models])
    num_models, order = coefficients.shape
    responses = _compute_responses(coefficients, int(steps.max()))
    # Entry (model, j, i) is the direct effect of a value j + 1 points before the origin on the forecast i steps after
    # the first one. Zeros follow the last coefficient.
    padded = np.pad(coefficients, ((0, 0), (0, order - 1)))
    direct = np.lib.stride_tricks.sliding_window_view(padded, order, axis=1)
    found = np.empty((len(steps), num_models, order))
    with np.errstate(all="ignore"):  # an unstable model may leave the range of floats
        for row, step in enumerate(steps):
            # Each direct effect is multiplied by the response of the steps that remain after it.
            reach = min(int(step), order)
            remaining = responses[:, step - reach : step][:, ::-1]
            found[row] = (direct[..., :reach] @ remaining[..., None])[..., 0]
        intercepts = np.array([model.intercept for model in models])[:, None] * np.cumsum(responses, axis=1)
    return found, intercepts[:, steps - 1].T


def _compute_responses(coefficients: Values, horizon: int) -> Values:
    """Computes the effects of an error of 1 on the value of its step and of later ones.

    Args:
        coefficients: Coefficients of each model, the latest value first: (models, order).
        horizon: Number of steps, that of the error included.

    Returns:
        The effects: (models, horizon).
    """
    order = coefficients.shape[1]
    responses = np.zeros((len(coefficients), horizon))
    responses[:, 0] = 1.0
    with np.errstate(all="ignore"):
        for step in range(1, horizon):
            near = min(step, order)
            past = responses[:, step - near : step][:, ::-1]
            responses[:, step] = np.einsum("mi,mi->m", coefficients[:, :near], past)
    return responses


def _clip_to_finite(values: Values) -> Values:
    """Clips values of an unstable autoregression to at most ``_MAX_VALUE`` either way; NaN becomes ``_MAX_VALUE``."""
    # NaN, as of infinity minus infinity, has no sign: either limit is a finite value with a very large error. np.clip
    # keeps NaN.
    return np.nan_to_num(np.clip(values, -_MAX_VALUE, _MAX_VALUE), nan=_MAX_VALUE)


def check_origins(origins: object, needed: int, length: int) -> Indices:
    """Returns the origins as an array.

    Raises InputError if origins are not a non-empty list of ints from ``needed`` to ``length``.
    """
    array = as_array(origins)
    if array is None or array.dtype.kind not in "iu" or array.ndim != 1 or not len(array):
        raise InputError("must be a non-empty list of integers", setting="origins")
    indices = array.astype(np.int64)
    if (first := int(indices.min())) < 0:
        raise InputError(f"origin {first} is negative: an origin is an index of at least {needed}")
    if first < needed:
        raise InputError(
            f"a forecast needs {pluralize(needed, 'value')} before its origin, but origin {first} has only {first}"
        )
    if indices.max() > length:
        raise InputError(f"origin {indices.max()} is beyond the end of {length} values")
    return indices


def select_past(values: Values, origins: Indices, length: int) -> Values:
    """Returns the ``length`` values before each origin, the latest first: (origins, length)."""
    origins = check_origins(origins, length, len(values))
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    return windows[origins - length][:, ::-1]


def select_future(values: Values, origins: Indices, horizon: int) -> Values:
    """Returns the ``horizon`` values that start at each origin, NaN after the end of the series: (origins, horizon)."""
    indices = origins[:, None] + np.arange(horizon)
    # np.where evaluates both branches, so indices after the end are limited first.
    return np.where(indices < len(values), values[np.minimum(indices, len(values) - 1)], np.nan)


class Regression:
    """Least-squares regression of a value on the ``order`` values before it, for several sets of targets and penalties.

    Args:
        values: The series: (points,).
        lag: Lag of the differences that are regressed instead of the values; 0 for the values. Solutions are multiplied
            out to coefficients of values.
        order: Number of past values or differences.

    Attributes:
        indices: Indices of the targets in ``values``.
    """

    def __init__(self, values: Values, lag: int, order: int) -> None:
        differences = values[lag:] - values[: len(values) - lag] if lag else values
        self._lag = lag
        # Unit spread gives one grid of penalties the same meaning for values and differences.
        self._scale = float(differences.std()) or 1.0
        scaled = differences / self._scale
        self._inputs = np.lib.stride_tricks.sliding_window_view(scaled[:-1], order)[:, ::-1]
        self._targets = scaled[order:]
        self.indices = np.arange(lag + order, len(values))

    def solve(self, kept: NDArray[np.bool_], penalties: tuple[float, ...]) -> list[Linear]:
        """Fits a model with each generalized Tikhonov penalty, s^2 b'(X'X)^-1 b for coefficients b and inputs X.

        It keeps directions of large variance and drops weak ones. The intercept is not penalized.

        Args:
            kept: True for the targets to fit to: (indices,).
            penalties: Values of s, for inputs of unit spread.
        """
        inputs, targets = self._inputs[kept], self._targets[kept]
        input_mean, target_mean = inputs.mean(0), float(targets.mean())
        centered = inputs - input_mean
        # NumPy's product and eigh would use all cores for matrices that need only one. The decomposition is shared
        # by all penalties.
        tensor = torch.from_numpy(centered)
        powers, directions = (part.numpy() for part in torch.linalg.eigh(tensor.T @ tensor))
        powers = np.maximum(powers, 0.0)  # rounding makes zero eigenvalues slightly negative
        products = directions.T @ (tensor.T @ torch.from_numpy(targets - target_mean)).numpy()
        models = []
        for penalty in penalties:
            # Ridge regression multiplies a direction of power p by p / (p + s), this by p^2 / (p^2 + s^2), which
            # keeps strong directions (a slow wave) unchanged and drops weak ones (noise). The prior: coefficients are
            # large in the directions in which the inputs are large.
            solution = directions @ (products * powers / (powers**2 + penalty**2))
            intercept = (target_mean - float(input_mean @ solution)) * self._scale
            if self._lag:
                # Multiply the polynomial of the differences by 1 - B^lag (B: backward shift) to forecast values.
                factor = np.zeros(self._lag + 1)
                factor[0], factor[-1] = 1, -1
                solution = -np.convolve(np.concatenate([[1.0], -solution]), factor)[1:]
            models.append(Linear(solution, intercept))
        return models


def fit_least_squares(values: Values, order: int) -> Linear:
    """Fits the textbook's AR(order) to all points, without a penalty."""
    inputs = select_past(values, np.arange(order, len(values)), order)
    design = np.hstack([np.ones((len(inputs), 1)), inputs])
    # NumPy's function would use all cores for a matrix that needs only one. gelsd is the driver of NumPy, which also
    # solves a design without full rank.
    targets = torch.from_numpy(values[order:, None].copy())
    solution: Values = torch.linalg.lstsq(torch.from_numpy(design), targets, driver="gelsd").solution[:, 0].numpy()
    return Linear(solution[1:], float(solution[0]))


def average_models(models: Sequence[Linear], weights: Sequence[float]) -> Linear:
    """Returns the sum of weight times model, of the largest order among them; the weights must sum to one."""
    coefficients = np.zeros(max(model.order for model in models))
    for model, weight in zip(models, weights, strict=True):
        coefficients[: model.order] += weight * model.coefficients
    intercept = sum(weight * model.intercept for model, weight in zip(models, weights, strict=True))
    return Linear(coefficients, intercept)


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


def is_outside(indices: NDArray[np.int64], block: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns True for the indices outside the block, which is the start and the end of a half-open range."""
    outside: NDArray[np.bool_] = (indices < block[0]) | (indices >= block[1])
    return outside


def fit_average(weights: dict[AutoregressionSpec, float], values: Values, excluded: tuple[int, int] = (0, 0)) -> Linear:
    """Fits each specification. Returns the sum of weight times model; the weights must sum to one.

    Targets with indices ``excluded[0]`` to ``excluded[1] - 1`` are excluded from the fit.
    """
    models: list[Linear] = []
    by_inputs = sorted(weights, key=lambda spec: (spec.lag, spec.order))
    # Penalties of the same inputs share a decomposition.
    for (lag, order), specs in itertools.groupby(by_inputs, key=lambda spec: (spec.lag, spec.order)):
        regression = Regression(values, lag, order)
        penalties = tuple(spec.penalty for spec in specs)
        models += regression.solve(is_outside(regression.indices, excluded), penalties)
    return average_models(models, [weights[spec] for spec in by_inputs])
