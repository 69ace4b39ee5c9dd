"""What members do on the blocks that they were fitted without: how far to trust corrections, and honest errors."""

import math

import numpy as np
import torch

from charloom.forecasting.autoregression import Places
from charloom.forecasting.lag_selection import compared_steps
from charloom.forecasting.member import Member, Reading, draw_paths
from charloom.forecasting.series import Values
from charloom.settings.forecasting import ForecastSettings

_TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_GAIN = 0.002
"""What corrections must gain in error: less may be luck."""
_NUM_PATHS = 40
_MOST_ORIGINS = 600


def _own_origins(member: Member, reading: Reading, horizon: int, every: int) -> Places:
    """Origins whose forecasts reach into the member's block."""
    begin = max(member.linear.order + reading.context, member.block[0] - horizon + 1)
    return np.arange(begin, member.block[1], every)


def choose_trust(
    members: list[Member], values: Values, context: int, window_spread: float, settings: ForecastSettings
) -> float:
    """How much of the corrections helps most over all steps ahead, on the blocks; none where it helps little."""
    every = max(1, len(values) // _MOST_ORIGINS)
    scores = []
    for trust in _TRUSTS:
        reading = Reading(context, window_spread, trust)
        errors: list[list[Values]] = [[] for _ in range(settings.horizon)]
        for member in members:
            origins = _own_origins(member, reading, settings.horizon, every)
            if len(origins):
                paths = draw_paths(member, reading, values, origins, settings.horizon, 1, None)[0]
                _collect(errors, values, origins, paths, member.block)
        found = [np.concatenate(errors[step - 1]) for step in compared_steps(settings.horizon) if errors[step - 1]]
        with np.errstate(all="ignore"):
            score = np.mean([0.5 * np.log(np.mean(e**2) + np.finfo(float).tiny) for e in found]) if found else 0.0
        scores.append(float(score) if np.isfinite(score) else math.inf)
    best = int(np.argmin(scores))
    return _TRUSTS[best] if scores[best] < scores[0] - _LEAST_GAIN else 0.0


def errors_ahead(members: list[Member], reading: Reading, values: Values, settings: ForecastSettings) -> list[Values]:
    """For each step ahead, errors on the members' own blocks in units of the spread of their paths."""
    generator = torch.Generator().manual_seed(settings.seed)
    every = max(1, len(values) // _MOST_ORIGINS)
    errors: list[list[Values]] = [[] for _ in range(settings.horizon)]
    for member in members:
        origins = _own_origins(member, reading, settings.horizon, every)
        if len(origins):
            paths = draw_paths(member, reading, values, origins, settings.horizon, _NUM_PATHS, generator)
            _collect(errors, values, origins, paths.mean(0), member.block, paths.std(0))
    return [np.concatenate(some) if some else np.zeros(0) for some in errors]


def _collect(
    errors: list[list[Values]],
    values: Values,
    origins: Places,
    forecasts: Values,
    block: tuple[int, int],
    spreads: Values | None = None,
) -> None:
    for step, found in enumerate(errors):
        places = origins + step
        inside = (places >= block[0]) & (places < block[1])
        if inside.any():
            error = values[places[inside]] - forecasts[inside, step]
            found.append(error if spreads is None else error / np.maximum(spreads[inside, step], 1e-12))
