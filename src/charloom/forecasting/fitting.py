"""Fits the ensemble: the linear parts, then the networks, then the widths of intervals."""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import CharloomWarning, SeriesError, SettingsError
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.intervals import calibrate
from charloom.forecasting.lag_selection import choose_lags
from charloom.forecasting.member import Reading
from charloom.forecasting.member_training import Progress, make_members, train_members
from charloom.forecasting.seasons import find_season
from charloom.forecasting.series import Series, Values, as_series
from charloom.forecasting.transforms import choose_transform, to_scale
from charloom.forecasting.unseen_blocks import choose_trust, errors_ahead
from charloom.forecasting.windows import cut_windows, make_batch
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings
from charloom.wording import counted

FEWEST_POINTS = 24
_MOST_POINTS = 10_000
_MOST_AHEAD = 32


def fewest_points(horizon: int) -> int:
    """The shortest series that can be forecast so far."""
    return max(FEWEST_POINTS, 2 * horizon + 8)


def fit(
    series: Series | Sequence[float] | NDArray[np.floating],
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    progress: Progress | None = None,
) -> Forecaster:
    """Fits a forecaster to a series.

    Args:
        series: Evenly spaced values, the oldest first.
        settings: The defaults where None.
        horizon: Steps ahead, in place of the settings'.
        progress: Called with the share that is done.

    Each of ``settings.members`` members is fitted without one block of the series. The number of passes and how far
    corrections are trusted are chosen for all by what they do on their blocks; so, small as the series is, the networks
    cost nothing where there is nothing to correct.

    Raises SeriesError for a series that is too short for the horizon, or that cannot be forecast.
    """
    settings = with_horizon(settings, horizon)
    tell = progress or (lambda _: None)
    series = as_series(series)
    needed = fewest_points(settings.horizon)
    if len(series) < needed:
        raise SeriesError(
            f"{counted(len(series), 'point')} {'is' if len(series) == 1 else 'are'} too few to forecast "
            f"{settings.horizon} ahead: {needed} are needed; "
            "lower the horizon"
        )
    latest = series.values[-_MOST_POINTS:]
    if len(latest) < len(series):
        warnings.warn(
            f"the series has {len(series):,} points: the last {_MOST_POINTS:,} are fitted to",
            CharloomWarning,
            stacklevel=2,
        )
    transform = choose_transform(latest, settings.transform, _season(settings.season, latest))
    scaled = to_scale(latest, transform)
    season = _season(settings.season, scaled)
    offset, scale = float(scaled.mean()), float(scaled.std())
    values = (scaled - offset) / scale
    with use_threads(settings.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        lags = choose_lags(values, settings.horizon, season, settings.max_lags)
        tell(0.1)
        members = make_members(values, lags, settings)
        context = min(settings.context, len(values) // 4)
        windows = cut_windows(values, context, max(1, min(_MOST_AHEAD, len(values) // 8)))
        batches = []
        for member in members:
            linear_errors, known = member.errors(values)
            batches.append(make_batch(windows, linear_errors, known, member.block, context))
        train_members(members, batches, settings, lambda share: tell(0.1 + 0.6 * share))
        reading = Reading(context, windows.spread, choose_trust(members, values, context, windows.spread, settings))
        tell(0.8)
        errors = errors_ahead(members, reading, values, settings)
        tell(1.0)
    return Forecaster(settings, members, reading, calibrate(errors), transform, season, offset, scale, series)


def with_horizon(settings: ForecastSettings | None, horizon: int | None) -> ForecastSettings:
    """The settings, with another horizon where one is given."""
    settings = settings or ForecastSettings()
    return settings if horizon is None else ForecastSettings(**(vars(settings) | {"horizon": horizon}))


def _season(season: int | None, values: Values) -> int:
    """The season that is asked for, or found. Raises SettingsError where it is seen fewer than three times."""
    if season is None:
        return find_season(values)
    if season > max(1, len(values) // 3):
        raise SettingsError(
            f"{len(values)} points have fewer than three of them; give a shorter one, or 1 for none",
            setting="season",
            value=season,
        )
    return season
