"""Fits the models: of the network the linear parts, then the networks, then the widths of intervals."""

import warnings
from collections.abc import Callable

import numpy as np

from charloom.arguments import check_type
from charloom.errors import Argument, CharloomWarning, Part, SeriesError, SettingsError, pluralize
from charloom.forecasting.baselines import Baseline, Naive
from charloom.forecasting.candidates import choose, fit_network, fit_plain, plain_models
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.intervals import calibrate
from charloom.forecasting.network import Progress
from charloom.forecasting.seasons import find_season
from charloom.forecasting.series import Series, SeriesLike, Values, as_series, is_constant
from charloom.forecasting.transforms import make_scale
from charloom.settings.forecasting import ForecastSettings, Method

MIN_POINTS = 4
MIN_FOR_NETWORK = 24
MAX_POINTS = 10_000
"""At the end of a series, that are fitted to."""


def fewest_points(horizon: int, method: Method = "auto") -> int:
    """The shortest series that a model can forecast so far; of ``auto``, which falls back on the plain ones."""
    return max(MIN_FOR_NETWORK, 2 * horizon + 8) if method == "network" else MIN_POINTS


def check_length(length: int, settings: ForecastSettings, held_out: int = 0) -> None:
    """Raises SeriesError, with what helps, if so many points without those held out are too few to fit to."""
    horizon, method = settings.horizon, settings.method
    needed = fewest_points(horizon, method)
    most = length - needed
    if held_out <= most:
        return
    longest = length - 1 if held_out else length  # what a shorter horizon may leave
    change: tuple[Part, ...] = ()
    if held_out and most >= horizon:
        change = ("lower ", Argument("held_out"), f" to {most} or less")
    elif longest >= fewest_points(1, method):
        change = ("lower ", *((Argument("held_out"), " and ") if held_out > horizon else ()), "the horizon")
    if method == "network" and longest >= MIN_POINTS:
        change += (*((", or ",) if change else ()), "give ", Argument("method", "auto"))
    raise SeriesError(
        f"{pluralize(length, 'point')} {'is' if length == 1 else 'are'} too few to forecast {horizon} ahead"
        f"{f' with {held_out} held out' if held_out else ''}: {needed} are needed to fit to",
        setting="method" if method == "network" else "held_out" if held_out else None,
        value=method if method == "network" else held_out,
        hint=change,
    )


def fit(
    series: SeriesLike,
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    progress: Progress | None = None,
) -> Forecaster:
    """Fits a forecaster to a series.

    ``method="auto"`` fits all models that the series is long enough for, and returns the one whose errors on points
    left out are smallest; the network if others gain little. Its ``method`` says which. Each of the ``members`` of a
    network is fitted without one block of the series. The number of passes and how far corrections are trusted are
    chosen for all by their errors on their blocks; so, small as the series is, the networks cost nothing if there is
    nothing to correct.

    Args:
        series: Evenly spaced values, the oldest first; 4 or more.
        settings: The defaults if None.
        horizon: Steps ahead, in place of the settings'.
        progress: Called with the share that is done.

    Raises SeriesError for a series that is too short for the model and the horizon, or that cannot be forecast.
    """
    return fit_all(as_series(series), with_horizon(settings, horizon), progress)[0]


def fit_all(
    series: Series, settings: ForecastSettings, progress: Progress | None, *, compared: bool = False
) -> list[Forecaster]:
    """The settings' model, fitted, and behind it others.

    The first is the one that the settings name or, for ``auto``, the best of all by errors on points left out. Behind
    it are the others if ``auto`` had to fit them, and the plain models if they are to be compared.
    """
    check_type((Callable, type(None)), progress=progress)
    tell = progress or (lambda _: None)
    check_length(len(series), settings)
    latest = series.values[-MAX_POINTS:]
    if len(latest) < len(series):
        told = f"the series has {len(series):,} points: the last {MAX_POINTS:,} are fitted to"
        warnings.warn(told, CharloomWarning, stacklevel=3)
    scale = make_scale(latest, settings.transform, _season(settings.season, latest), settings.domain)
    values = scale.to_unit(latest)
    season = _season(settings.season, values)
    if is_constant(latest):
        if settings.method in ("network", "ar"):
            raise SeriesError(
                f"all {len(values)} values are the same",
                setting="method",
                value=settings.method,
                hint=(Argument("method", "auto"), " repeats them"),
            )
        plain: dict[Method, Baseline] = {"naive": Naive()}
        candidates = []
    else:
        plain = plain_models(len(values), season, settings)
        by_network = settings.method in ("auto", "network") and len(values) >= fewest_points(
            settings.horizon, "network"
        )
        candidates = [fit_network(values, season, settings, tell)] if by_network else []
    for method, baseline in plain.items():
        if compared or settings.method in ("auto", method) or is_constant(latest):
            candidates.append(fit_plain(method, baseline, values, settings))
    named = [candidate for candidate in candidates if candidate.method == settings.method]
    best = named[0] if named else choose(candidates)
    tell(1.0)
    forecasters = []
    for one in (best, *(candidate for candidate in candidates if candidate is not best)):
        half_widths = calibrate(one.errors / np.where(one.spreads > 0, one.spreads, 1.0))
        forecasters.append(
            Forecaster(settings, one.method, one.name, one.members, one.reading, half_widths, scale, season, series)
        )
    return forecasters


def with_horizon(settings: ForecastSettings | None, horizon: int | None) -> ForecastSettings:
    """The settings, with another horizon if one is given."""
    check_type((ForecastSettings, type(None)), settings=settings)
    settings = settings or ForecastSettings()
    return settings if horizon is None else ForecastSettings(**(vars(settings) | {"horizon": horizon}))


def _season(season: int | None, values: Values) -> int:
    """The season that is asked for, or found. Raises SettingsError if it is seen fewer than two times."""
    if season is None:
        return find_season(values)
    if season > max(1, len(values) // 2):
        raise SettingsError(
            f"{len(values)} points have fewer than two of them; give a shorter one, or 1 for none",
            setting="season",
            value=season,
        )
    return season
