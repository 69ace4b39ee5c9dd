"""Fits the models: of the network the linear parts, then the networks, then the widths of intervals."""

import warnings
from collections.abc import Callable

import torch

from charloom.arguments import check_type
from charloom.errors import Argument, CharloomWarning, Part, SeriesError, SettingsError, counted
from charloom.forecasting.baselines import AutoRegression, Naive
from charloom.forecasting.candidates import Candidate, choose, fit_plain, plain_models, usual_order
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.lag_selection import choose_lags
from charloom.forecasting.member import Reading
from charloom.forecasting.member_training import Progress, cut_windows, make_batch, make_members, train_members
from charloom.forecasting.seasons import find_season
from charloom.forecasting.series import Series, SeriesLike, Values, as_series, is_constant
from charloom.forecasting.transforms import make_scale
from charloom.forecasting.unseen_blocks import choose_trust, errors_ahead, optimism
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings, Method

FEWEST_POINTS = 4
FEWEST_FOR_NETWORK = 24
MOST_POINTS = 10_000
"""At the end of a series, that are fitted to."""
_MOST_AHEAD = 32


def fewest_points(horizon: int, model: Method = "auto") -> int:
    """The shortest series that a model can forecast so far; of ``auto``, which falls back on the plain ones."""
    return max(FEWEST_FOR_NETWORK, 2 * horizon + 8) if model == "network" else FEWEST_POINTS


def plain_instead(length: int, model: Method) -> tuple[Part, ...]:
    """The hint for a series that is too short for this model at every horizon; empty if it is too short for all."""
    return ("give ", Argument("method", "auto")) if model == "network" and length >= FEWEST_POINTS else ()


def fit(
    series: SeriesLike,
    settings: ForecastSettings | None = None,
    *,
    horizon: int | None = None,
    progress: Progress | None = None,
) -> Forecaster:
    """Fits a forecaster to a series.

    ``method="auto"`` fits all models that the series is long enough for, and returns the one whose errors on points
    left out are smallest; the network if others gain little. Its ``model`` says which. Each of the ``settings.members``
    members of a network is fitted without one block of the series. The number of passes and how far corrections are
    trusted are chosen for all by their errors on their blocks; so, small as the series is, the networks cost nothing if
    there is nothing to correct.

    Args:
        series: Evenly spaced values, the oldest first; 4 or more.
        settings: The defaults if None.
        horizon: Steps ahead, in place of the settings'.
        progress: Called with the share that is done.

    Raises SeriesError for a series that is too short for the model and the horizon, or that cannot be forecast.
    """
    return fit_all(as_series(series), with_horizon(settings, horizon), checked(progress))[0]


def fit_all(series: Series, settings: ForecastSettings, tell: Progress, *, compared: bool = False) -> list[Forecaster]:
    """The settings' model, fitted, and behind it others.

    The first is the one that the settings name or, for ``auto``, the best of all by errors on points left out. Behind
    it are the others if ``auto`` had to fit them, and the plain models if they are to be compared.
    """
    _check_length(series, settings)
    latest = series.values[-MOST_POINTS:]
    if len(latest) < len(series):
        told = f"the series has {len(series):,} points: the last {MOST_POINTS:,} are fitted to"
        warnings.warn(told, CharloomWarning, stacklevel=3)
    scale = make_scale(latest, settings.transform, _season(settings.season, latest), settings.domain)
    values = scale.to_unit(latest)
    season = _season(settings.season, values)
    wanted = None if settings.method == "auto" or compared else settings.method
    if is_constant(latest):
        candidates = _fit_constant(values, settings)
    else:
        candidates = _fit_candidates(values, season, settings, tell, wanted)
    named = [candidate for candidate in candidates if candidate.model == settings.method]
    best = named[0] if named else choose(candidates)
    tell(1.0)
    return [
        Forecaster(settings, c.model, c.name, c.members, c.reading, c.calibration(), scale, season, series)
        for c in (best, *(c for c in candidates if c is not best))
    ]


def _check_length(series: Series, settings: ForecastSettings) -> None:
    needed = fewest_points(settings.horizon, settings.method)
    if len(series) >= needed:
        return
    few = f"{counted(len(series), 'point')} {'is' if len(series) == 1 else 'are'} too few to forecast"
    if settings.method == "network":
        shorter = len(series) >= fewest_points(1, "network")
        raise SeriesError(
            f"{few} {settings.horizon} ahead with it: {needed} are needed",
            setting="method",
            value="network",
            hint=(*(("lower the horizon, or ",) if shorter else ()), *plain_instead(len(series), "network")),
        )
    raise SeriesError(f"{few}: {needed} are needed")


def _fit_constant(values: Values, settings: ForecastSettings) -> list[Candidate]:
    if settings.method in ("network", "ar"):
        raise SeriesError(
            f"all {len(values)} values are the same",
            setting="method",
            value=settings.method,
            hint=(Argument("method", "auto"), " repeats them"),
        )
    return [fit_plain("naive", Naive(), values, settings)]


def _fit_candidates(
    values: Values, season: int, settings: ForecastSettings, tell: Progress, wanted: Method | None
) -> list[Candidate]:
    """One model, or all that the series is long enough for, the preferred one first."""
    candidates = []
    if settings.method in ("auto", "network") and len(values) >= fewest_points(settings.horizon, "network"):
        candidates.append(_fit_network(values, season, settings, tell))
    plain = plain_models(len(values), season, settings.num_lags)
    if settings.method == "ar":
        plain["ar"] = AutoRegression(settings.num_lags or usual_order(season))
    if settings.method in ("seasonal-naive", "seasonal-mean") and settings.method not in plain:
        what = f"a season of {season} is seen fewer than three times" if season > 1 else "no season was found"
        raise SeriesError(what, setting="method", value=settings.method, hint=("give ", Argument("season")))
    return candidates + [
        fit_plain(model, baseline, values, settings) for model, baseline in plain.items() if wanted in (None, model)
    ]


def _fit_network(values: Values, season: int, settings: ForecastSettings, tell: Progress) -> Candidate:
    with (
        use_threads(settings.threads),
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),  # the caller's may be on; the networks are trained here
        torch.enable_grad(),
    ):
        torch.manual_seed(settings.seed)
        lags = choose_lags(values, settings.horizon, season, settings.max_lags)
        tell(0.1)
        members = make_members(values, lags, settings)
        context = min(settings.context, len(values) // 4)
        windows, window_spread = cut_windows(values, context, max(1, min(_MOST_AHEAD, len(values) // 8)))
        batches = []
        for member in members:
            linear_errors, known = member.errors(values)
            batches.append(make_batch(windows, linear_errors, known, member.block, context))
        train_members(members, batches, settings, lambda share: tell(0.1 + 0.6 * share))
        reading = Reading(context, window_spread, choose_trust(members, values, context, window_spread, settings))
        tell(0.8)
        errors, spreads = errors_ahead(members, reading, values, settings)
        errors = errors * optimism(members, lags, reading, values, settings)
    return Candidate("network", "network", members, reading, errors, spreads)


def checked(progress: Progress | None) -> Progress:
    """The function that is called with the share that is done."""
    check_type((Callable, type(None)), progress=progress)
    return progress or (lambda _: None)


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
