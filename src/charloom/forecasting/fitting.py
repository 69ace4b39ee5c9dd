"""Fits the ensemble: the linear parts, then the networks, then the widths of intervals."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import SeriesError, SettingsError
from charloom.forecasting.autoregression import Places
from charloom.forecasting.forecaster import Forecaster
from charloom.forecasting.intervals import calibrate
from charloom.forecasting.lag_selection import Lags, choose_lags
from charloom.forecasting.member import Member, Reading, draw_paths
from charloom.forecasting.network import CorrectionNetwork, gaussian_nats
from charloom.forecasting.seasons import find_season
from charloom.forecasting.series import Series, Values, as_series
from charloom.forecasting.transforms import choose_transform, to_scale
from charloom.forecasting.windows import WindowBatch, cut_windows, make_batch
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings

Progress: TypeAlias = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""

FEWEST_POINTS = 24
_MOST_AHEAD = 32
_MOST_STEPS = 60
"""Minibatches of one pass: on long series one sees a part of the windows."""
_PATIENCE = 6
_LEAST_GAIN = 1e-4
_TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_TRUST_GAIN = 0.002
"""What corrections must gain in error, for their noise is not worth less."""
_CALIBRATION_PATHS = 40
_MOST_ORIGINS = 600


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
            f"{len(series)} points are too few to forecast {settings.horizon} ahead: {needed} are needed; "
            "lower the horizon"
        )
    season = check_season(settings.season, series.values)
    transform = choose_transform(series.values, settings.transform, season)
    scaled = to_scale(series.values, transform)
    offset, scale = float(scaled.mean()), float(scaled.std())
    values = (scaled - offset) / scale
    with use_threads(settings.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        lags = choose_lags(values, settings.horizon, season, settings.max_lags)
        tell(0.1)
        members = _make_members(values, lags, settings)
        context = min(settings.context, len(values) // 4)
        windows = cut_windows(values, context, max(1, min(_MOST_AHEAD, len(values) // 8)))
        batches = []
        for member in members:
            errors, known = member.errors(values)
            batches.append(make_batch(windows, errors, known, member.block, context))
        _train(members, batches, settings, lambda share: tell(0.1 + 0.6 * share))
        reading = Reading(context, windows.spread, _choose_trust(members, values, context, windows.spread, settings))
        tell(0.8)
        errors_ahead = _errors_ahead(members, reading, values, settings)
        tell(1.0)
    return Forecaster(
        settings, members, reading, calibrate(errors_ahead), transform, season, offset, scale, series
    )


def with_horizon(settings: ForecastSettings | None, horizon: int | None) -> ForecastSettings:
    """The settings, with another horizon where one is given."""
    settings = settings or ForecastSettings()
    return settings if horizon is None else ForecastSettings(**(vars(settings) | {"horizon": horizon}))


def check_season(season: int | None, values: Values) -> int:
    """The season that is asked for, or that is found. Raises SettingsError where it is seen fewer than three times."""
    if season is None:
        return find_season(values)
    if season > max(1, len(values) // 3):
        raise SettingsError(
            f"season is {season}: {len(values)} points have fewer than three of them; give a shorter one, or 1 for none"
        )
    return season


def _make_members(values: Values, lags: Lags, settings: ForecastSettings) -> list[Member]:
    edges = np.linspace(0, len(values), settings.members + 1).astype(int)
    members = []
    for begin, end in zip(edges, edges[1:], strict=False):
        linear = lags.fit(values, (int(begin), int(end)))
        errors = values[linear.order :] - linear.next_values(values)
        places = np.arange(linear.order, len(values))
        fitted = errors[(places < begin) | (places >= end)]
        spread = max(float(np.sqrt(np.mean(fitted**2))), 1e-12)
        network = CorrectionNetwork(settings.cell, settings.hidden_size)
        members.append(Member(linear, spread, network.eval(), (int(begin), int(end))))
    return members


def _train(
    members: list[Member], batches: list[WindowBatch], settings: ForecastSettings, tell: Progress
) -> None:
    """Passes over all members in turn, until their blocks together are foretold no better; then back to the best."""
    generator = torch.Generator().manual_seed(settings.seed)
    optimizers = [
        torch.optim.AdamW(m.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        for m in members
    ]
    held_out = [batch.of_held_out() for batch in batches]
    best, best_epoch, best_weights = _held_out_nats(members, held_out), 0, _weights(members)
    for epoch in range(1, settings.epochs + 1):
        for member, optimizer, batch in zip(members, optimizers, batches, strict=True):
            _one_pass(member.network, optimizer, batch, settings.batch_size, generator)
        nats = _held_out_nats(members, held_out)
        if nats < best - _LEAST_GAIN:
            best, best_epoch, best_weights = nats, epoch, _weights(members)
        tell(max(epoch / settings.epochs, (epoch - best_epoch) / _PATIENCE))
        if epoch - best_epoch >= _PATIENCE:
            break
    for member, weights in zip(members, best_weights, strict=True):
        member.network.load_state_dict(weights)


def _one_pass(
    network: CorrectionNetwork, optimizer: torch.optim.Optimizer, batch: WindowBatch, batch_size: int,
    generator: torch.Generator,
) -> None:  # fmt: skip
    """Half of the windows, for they overlap."""
    number = len(batch.inputs)
    steps = min(max(1, number // batch_size // 2), _MOST_STEPS)
    network.train()
    for chosen in torch.randperm(number, generator=generator)[: steps * batch_size].split(batch_size):
        weights = batch.fitted[chosen].T
        if not weights.any():
            continue
        correction, _ = network(batch.inputs[chosen].transpose(0, 1).contiguous())
        loss = (weights * gaussian_nats(correction, batch.targets[chosen].T)).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    network.eval()


def _held_out_nats(members: list[Member], batches: list[WindowBatch]) -> float:
    """Mean over all that was left out; infinite where that is not a number, or there is none."""
    total, count = 0.0, 0.0
    with torch.no_grad():
        for member, batch in zip(members, batches, strict=True):
            if not len(batch.inputs):
                continue
            correction, _ = member.network(batch.inputs.transpose(0, 1).contiguous())
            total += float((batch.held_out.T * gaussian_nats(correction, batch.targets.T)).sum())
            count += float(batch.held_out.sum())
    return total / count if count and math.isfinite(total) else math.inf


def _weights(members: list[Member]) -> list[dict[str, torch.Tensor]]:
    return [copy.deepcopy(member.network.state_dict()) for member in members]


def _own_origins(member: Member, reading: Reading, horizon: int, every: int) -> Places:
    """Origins whose forecasts reach into the member's block."""
    begin = max(member.linear.order + reading.context, member.block[0] - horizon + 1)
    return np.arange(begin, member.block[1], every)


def _choose_trust(
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
        steps = np.unique(np.append(2 ** np.arange(int(np.log2(settings.horizon)) + 1), settings.horizon))
        found = [np.concatenate(errors[step - 1]) for step in steps if errors[step - 1]]
        with np.errstate(all="ignore"):
            score = np.mean([0.5 * np.log(np.mean(e**2) + np.finfo(float).tiny) for e in found]) if found else 0.0
        scores.append(float(score) if np.isfinite(score) else math.inf)
    best = int(np.argmin(scores))
    return _TRUSTS[best] if scores[best] < scores[0] - _LEAST_TRUST_GAIN else 0.0


def _errors_ahead(
    members: list[Member], reading: Reading, values: Values, settings: ForecastSettings
) -> list[Values]:
    """For each step ahead, errors on the members' own blocks in units of the spread of their paths."""
    generator = torch.Generator().manual_seed(settings.seed)
    every = max(1, len(values) // _MOST_ORIGINS)
    errors: list[list[Values]] = [[] for _ in range(settings.horizon)]
    for member in members:
        origins = _own_origins(member, reading, settings.horizon, every)
        if len(origins):
            paths = draw_paths(member, reading, values, origins, settings.horizon, _CALIBRATION_PATHS, generator)
            _collect(errors, values, origins, paths.mean(0), member.block, paths.std(0))
    return [np.concatenate(some) if some else np.zeros(0) for some in errors]


def _collect(
    errors: list[list[Values]], values: Values, origins: Places, forecasts: Values, block: tuple[int, int],
    spreads: Values | None = None,
) -> None:  # fmt: skip
    for step, found in enumerate(errors):
        places = origins + step
        inside = (places >= block[0]) & (places < block[1])
        if inside.any():
            error = values[places[inside]] - forecasts[inside, step]
            found.append(error if spreads is None else error / np.maximum(spreads[inside, step], 1e-12))
