"""Which autoregressions: differences, order and shrinkage, by errors of many steps on points left out."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charloom.forecasting.autoregression import Difference, Linear, Regression, average, past_values
from charloom.forecasting.series import Values

_ORDERS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SHRINKAGES = (1e-6, 1e-3, 0.1, 1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_BLOCKS = 5
_FORGOTTEN = np.log(1.2)
"""See ``choose_lags``."""
_SHARPNESS = 50.0
"""How fast a candidate's weight falls with its error: by e for 2 %. Averages of near equals beat the best of them."""
_MOST_CANDIDATES = 20
_FEWEST_TARGETS = 8


@dataclass(frozen=True)
class Candidate:
    """One autoregression that could be fitted."""

    difference: Difference
    order: int
    shrinkage: float


@dataclass(frozen=True)
class Lags:
    """A weighted choice of candidates."""

    candidates: tuple[Candidate, ...]
    weights: tuple[float, ...]

    def fit(self, values: Values, left_out: tuple[int, int] = (0, 0)) -> Linear:
        """The weighted average, fitted to all targets but those at places ``left_out[0]`` to ``left_out[1] - 1``."""
        models = []
        for candidate in self.candidates:
            regression = Regression(values, candidate.difference, candidate.order)
            kept = _outside(regression.places, left_out)
            models += regression.solve(kept, (candidate.shrinkage,))
        return average(models, list(self.weights))


def choose_lags(values: Values, horizon: int, season: int, max_lags: int | None) -> Lags:
    """Weighs candidates by their errors 1, 2, 4, ... steps ahead, on blocks of the series that each did not see.

    Blocks between others flatter models with a fixed mean: they never have to go where the series has not been. So such
    models are dropped where the first half of the series alone forecasts the second half better (by a fifth) with
    differences.
    """
    steps = compared_steps(horizon)
    longest = max(1, min(max_lags or _ORDERS[-1], len(values) // 5))
    differences = [Difference(0), Difference(1)]
    if 1 < season <= len(values) // 3:
        differences.append(Difference(season))
    edges = np.linspace(0, len(values), _BLOCKS + 1).astype(int)
    blocks = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    half = len(values) // 2
    orders = {difference: _orders(difference, longest, len(values)) for difference in differences}
    begin = max(difference.lag + max(some) for difference, some in orders.items())  # the same points for all
    between: dict[Candidate, float] = {}
    after: dict[Candidate, float] = {}
    for difference, some in orders.items():
        for order in some:
            regression = Regression(values, difference, order)
            kept = [_outside(regression.places, block) for block in blocks]
            forward = [regression.places < half]
            by_block = _errors(values, regression, kept, blocks, steps, begin)
            by_half = _errors(values, regression, forward, [(half, len(values))], steps, begin)
            for i, shrinkage in enumerate(_SHRINKAGES):
                candidate = Candidate(difference, order, shrinkage)
                between[candidate], after[candidate] = by_block[i], by_half[i]
    fixed_mean = [candidate for candidate in between if candidate.difference.lag == 0]
    best_fixed = min(after[candidate] for candidate in fixed_mean)
    best_other = min(error for candidate, error in after.items() if candidate not in fixed_mean)
    if np.isfinite(best_other) and best_fixed - best_other > _FORGOTTEN:
        for candidate in fixed_mean:
            del between[candidate]
    best = min(between.values())
    spread = {c: float(np.exp(-_SHARPNESS * (e - best))) if np.isfinite(e) else 0.0 for c, e in between.items()}
    if not np.isfinite(best):  # too short to leave anything out
        spread = {Candidate(Difference(1), 1, _SHRINKAGES[-1]): 1.0}
    chosen = sorted(spread, key=lambda candidate: -spread[candidate])[:_MOST_CANDIDATES]
    chosen = [candidate for candidate in chosen if spread[candidate] > 1e-4 * spread[chosen[0]]]
    total = sum(spread[candidate] for candidate in chosen)
    return Lags(tuple(chosen), tuple(spread[candidate] / total for candidate in chosen))


def compared_steps(horizon: int) -> NDArray[np.int64]:
    """The steps ahead that models are compared at: 1, 2, 4, ... and the last."""
    return np.unique(np.append(2 ** np.arange(int(np.log2(horizon)) + 1), horizon))


def _orders(difference: Difference, longest: int, length: int) -> list[int]:
    most = min(longest, max(1, length // 3 - difference.lag))
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
