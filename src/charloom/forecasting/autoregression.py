"""Linear autoregressions: forecasts of several steps and their errors; the values around an origin.

The linear part of the ensemble in ``network``; ``regression`` fits it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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
        coefficients, intercepts = compute_step_weights(
            self.coefficients[None], np.array([self.intercept]), np.arange(1, horizon + 1)
        )
        with np.errstate(all="ignore"):
            return _clip_to_finite(select_past(values, origins, self.order) @ coefficients[:, 0].T + intercepts[:, 0])


def forecast_each(models: Sequence[Linear], values: Values, origins: Indices, horizon: int) -> Values:
    """Forecasts from each origin, the index of the first unknown value, with a model of its own.

    Args:
        models: Model of each origin, all of one order.
        values: The series: (points,).
        origins: Indices of the first unknown values: (origins,).
        horizon: Number of steps ahead.

    Returns:
        Forecasts: (origins, horizon).
    """
    order = models[0].order
    # In the order of time, with the coefficients reversed to match.
    coefficients = np.stack([model.coefficients[::-1] for model in models])
    intercepts = np.array([model.intercept for model in models])
    path = np.empty((len(origins), order + horizon))
    path[:, :order] = select_past(values, origins, order)[:, ::-1]
    with np.errstate(all="ignore"):  # an unstable model may leave the range of floats
        for step in range(horizon):
            known = path[:, step : step + order]
            path[:, order + step] = np.einsum("oi,oi->o", known, coefficients) + intercepts
    return _clip_to_finite(path[:, order:])


def compute_responses(models: Sequence[Linear], horizon: int) -> Values:
    """Computes impulse responses: the effects of an error of 1 on the value of its step and of later ones.

    Args:
        models: Models of one order.
        horizon: Number of steps, that of the error included.

    Returns:
        The effects: (models, horizon).
    """
    order = models[0].order
    # In the order of time, with zeros for the values before the error, which it does not change.
    coefficients = np.stack([model.coefficients[::-1] for model in models])
    responses = np.zeros((len(models), order + horizon))
    responses[:, order] = 1.0
    with np.errstate(all="ignore"):
        for step in range(1, horizon):
            near = min(step, order)
            past = responses[:, order + step - near : order + step]
            responses[:, order + step] = np.einsum("mi,mi->m", coefficients[:, order - near :], past)
    return _clip_to_finite(responses[:, order:])


def compute_error_stds(models: Sequence[Linear], horizon: int, num_fitted: Values | None) -> Values:
    """Computes standard deviations of forecast errors if one-step errors are independent with standard deviation 1.

    Source: Brockwell and Davis, Introduction to Time Series and Forecasting, 2002, section 3.3.

    Args:
        models: Models of one order.
        horizon: Number of steps ahead.
        num_fitted: Number of points that each model's intercept was estimated from, (models,); the error of that
            estimate adds to the others. None: the intercepts are known.

    Returns:
        Standard deviations 1, 2, ... steps ahead: (models, horizon).
    """
    responses = compute_responses(models, horizon)
    with np.errstate(all="ignore"):
        variances = np.cumsum(responses**2, axis=1)
        if num_fitted is not None:
            # An error of the intercept enters every step, and its variance is that of a mean of num_fitted errors.
            variances = variances + np.cumsum(responses, axis=1) ** 2 / num_fitted[:, None]
        return _clip_to_finite(np.sqrt(variances))


def compute_step_weights(coefficients: Values, intercepts: Values, steps: Indices) -> tuple[Values, Values]:
    """Computes the coefficients of known values, and the intercepts, of forecasts some steps ahead.

    Args:
        coefficients: Coefficients of each model, the latest value first: (models, order).
        intercepts: Constant term of each model: (models,).
        steps: Numbers of steps ahead, from 1, in ascending order.

    Returns:
        The coefficients, the latest value first, (steps, models, order), and the intercepts, (steps, models).
    """
    found = np.empty((len(steps), *coefficients.shape))
    constants = np.empty((len(steps), len(intercepts)))
    weights, constant = coefficients.copy(), intercepts.copy()
    row = 0
    with np.errstate(all="ignore"):  # an unstable model may leave the range of floats
        for step in range(1, int(steps[-1]) + 1):
            if step > 1:
                # One step further back, the latest of the known values is unknown: its forecast takes its place.
                latest = weights[:, :1].copy()
                constant += latest[:, 0] * intercepts
                weights[:, :-1] = weights[:, 1:]
                weights[:, -1] = 0.0
                weights += latest * coefficients
            if step == steps[row]:
                found[row], constants[row] = weights, constant
                row += 1
    return found, constants


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
