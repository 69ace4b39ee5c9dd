"""Fitting: scales a series, fits the candidates, chooses one and calibrates its prediction intervals.

``candidates`` has the models and their errors; ``fit`` is the public function.
"""

import warnings
from collections.abc import Callable

import numpy as np

from charloom.errors import Argument, CharloomWarning, Part, SeriesError, SettingsError, pluralize
from charloom.forecasting.baselines import Baseline, Naive
from charloom.forecasting.candidates import choose_candidate, fit_baseline, fit_network, make_baselines
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.intervals import calibrate
from charloom.forecasting.network import Progress
from charloom.forecasting.seasons import find_season
from charloom.forecasting.series import Series, SeriesLike, Values, as_series, is_constant
from charloom.forecasting.transforms import make_scale
from charloom.settings.forecasting import ForecastSettings, Method
from charloom_codec.arguments import check_type

MIN_POINTS = 4
MIN_NETWORK_POINTS = 24
MAX_POINTS = 10_000
"""Maximum number of points, at the end of a series, that models are fitted to."""


def min_points(horizon: int, method: Method = "auto") -> int:
    """Returns the minimum length of a series.

    For the network it grows with the horizon. For all other methods, and for ``auto``, which falls back to them, it is
    ``MIN_POINTS``.
    """
    return max(MIN_NETWORK_POINTS, 2 * horizon + 8) if method == "network" else MIN_POINTS


def check_length(length: int, settings: ForecastSettings, held_out: int = 0, *, is_default: bool = False) -> None:
    """Raises SeriesError, with a remedy, if ``length`` points less those held out are too few to fit to.

    ``is_default``: True if ``held_out`` is the default for this horizon, not a value that the user passed.
    """
    horizon, method = settings.horizon, settings.method
    needed = min_points(horizon, method)
    max_held_out = length - needed
    if held_out <= max_held_out:
        return
    longest = length - 1 if held_out else length  # points to fit to at a horizon of 1
    remedy: tuple[Part, ...] = ()
    if held_out and max_held_out >= horizon:
        remedy = ("lower ", Argument("held_out"), f" to {max_held_out} or less")
    elif longest >= min_points(1, method):
        # A default equal to the horizon decreases with it; a value that was passed does not.
        both = held_out > horizon or (held_out == horizon and not is_default)
        remedy = ("lower ", *((Argument("held_out"), " and ") if both else ()), "the horizon")
    if method == "network" and longest >= MIN_POINTS:
        remedy += (*((", or ",) if remedy else ()), "pass ", Argument("method", "auto"))
    raise SeriesError(
        f"{pluralize(length, 'point')} {'is' if length == 1 else 'are'} too few to forecast "
        f"{pluralize(horizon, 'step')} ahead{f' with {held_out} held out' if held_out else ''}: fitting needs {needed}",
        setting="method" if method == "network" else "held_out" if held_out else None,
        value=method if method == "network" else held_out,
        hint=remedy,
    )


def fit(
    series: SeriesLike,
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    progress: Progress | None = None,
) -> Forecaster:
    """Fits a forecaster to a series.

    ``method="auto"`` fits all models that the series is long enough for, and returns the one with the smallest errors
    on held-out points; the network if the gain of others is small. ``Forecaster.method`` is the method chosen.

    The linear part of each ensemble member is fitted without one block of the series, and two neighboring members share
    a network, which is fitted without both of their blocks. The number of epochs and the shrinkage of the networks'
    predictions are chosen for all members from the errors on these blocks, the number of epochs from those of a part of
    the networks if the series is long. Networks that predict the blocks no better than the linear parts are dropped, so
    that they do no harm, even on a short series.

    Args:
        series: At least 4 evenly spaced values, the oldest first; also a series of pandas or polars, or a frame with
            the columns ``ds`` and ``y``.
        settings: Settings; the defaults if None.
        horizon: Number of steps ahead; overrides the settings.
        progress: Callback with the completed share, 0 to 1.

    Returns:
        The fitted forecaster.

    Raises:
        SeriesError: The series is too short for the model and the horizon, or cannot be forecast.
        SettingsError: The season is longer than half of the points to fit to.
    """
    return fit_all(as_series(series), replace_horizon(settings, horizon), progress)[0]


def fit_all(
    series: Series, settings: ForecastSettings, progress: Progress | None, *, compared: bool = False
) -> list[Forecaster]:
    """Fits the model of the settings, and returns others with it if they are to be compared.

    Args:
        series: The series.
        settings: Method, horizon and hyperparameters.
        progress: Callback with the completed share, 0 to 1.
        compared: Whether to fit all baselines, also if the settings name one method.

    Returns:
        Forecasters. The first is that of the named method or, for ``auto``, the best one by errors on held-out points;
        for a constant series, it is the naive one. The others follow only if ``compared``.

    Raises:
        SeriesError: As for ``fit``; also for a constant series, if the method is ``network`` or ``ar``.
        SettingsError: As for ``fit``.
    """
    check_type((Callable, type(None)), progress=progress)
    report = progress or (lambda _: None)
    # Refuse before the work, not after it.
    check_length(len(series), settings)
    # The time of fitting grows with the number of points.
    latest = series.values[-MAX_POINTS:]
    if len(latest) < len(series):
        message = f"the series has {len(series):,} points: only the last {MAX_POINTS:,} are used for fitting"
        warnings.warn(message, CharloomWarning, stacklevel=3)
    season = _choose_season(settings.season, latest)
    scale = make_scale(latest, settings.transform, season, settings.domain)
    values = scale.to_unit(latest)
    # Logarithms may show a season that the values do not; a change of the unit does not.
    if scale.transform == "log":
        season = _choose_season(settings.season, values)
    if is_constant(latest):
        if settings.method in ("network", "ar"):
            raise SeriesError(
                f"all {len(values)} values are the same",
                setting="method",
                value=settings.method,
                hint=("pass ", Argument("method", "auto"), " to repeat them"),
            )
        # Nothing can be estimated from a constant, and its naive forecast is exact.
        baselines: dict[Method, Baseline] = {"naive": Naive()}
        candidates = []
    else:
        baselines = make_baselines(len(values), season, settings)
        has_network = settings.method in ("auto", "network") and len(values) >= min_points(settings.horizon, "network")
        candidates = [fit_network(values, season, settings, report)] if has_network else []
    for method, baseline in baselines.items():
        if compared or settings.method in ("auto", method) or is_constant(latest):
            candidates.append(fit_baseline(method, baseline, values, settings))
    # With a named method the others are fitted only for comparison.
    named = [candidate for candidate in candidates if candidate.method == settings.method]
    best = named[0] if named else choose_candidate(candidates)
    report(1.0)
    best_first = [best, *(candidate for candidate in candidates if candidate is not best)]
    # Without a comparison, nobody asks for the others' intervals.
    returned = best_first if compared else best_first[:1]
    # A model without errors has a spread of 0: any divisor will do.
    widths = [calibrate(one.errors / np.where(one.spreads > 0, one.spreads, 1.0)) for one in returned]
    return [
        Forecaster(settings, one.method, one.name, one.members, one.config, width, scale, season, series)
        for one, width in zip(returned, widths, strict=True)
    ]


def replace_horizon(settings: ForecastSettings | None, horizon: int | None) -> ForecastSettings:
    """Returns the settings, the defaults if None, with the given horizon if it is not None."""
    check_type((ForecastSettings, type(None)), settings=settings)
    settings = settings or ForecastSettings()
    return settings if horizon is None else ForecastSettings(**(vars(settings) | {"horizon": horizon}))


def _choose_season(season: int | None, values: Values) -> int:
    """Returns the given season, or detects it. Raises SettingsError if the values are fewer than two seasons."""
    if season is None:
        return find_season(values)
    # A season of 1 means none, which suits a series of any length.
    if season > max(1, len(values) // 2):
        raise SettingsError(
            f"the {pluralize(len(values), 'point')} to fit to are fewer than two seasons; pass a shorter season (at "
            f"most {len(values) // 2}), or 1 for none",
            setting="season",
            value=season,
        )
    return season
