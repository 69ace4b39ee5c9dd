"""A fitted forecaster: its forecasts with intervals, and its folder on disk."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from charloom.arguments import check_type
from charloom.errors import CharloomError, ModelFolderError
from charloom.forecasting.autoregression import Linear, Places, check_origins
from charloom.forecasting.intervals import LEVELS, half_width
from charloom.forecasting.network import CorrectionNetwork, Member, Reading, draw_paths
from charloom.forecasting.series import Series, SeriesLike, Values, as_series
from charloom.forecasting.transforms import Scale
from charloom.models.folder import WithoutInitialWeights, check_kind, read_model_folder, write_model_folder
from charloom.models.predictor import check_finite
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import MAX_HORIZON, MAX_PATHS, ForecastSettings, Method, Transform
from charloom.settings.limits import check_choice, check_count
from charloom.version import __version__

KIND = "forecaster"
"""Of its folder, in ``config.json``."""
_EXPONENTS = range(-1074, 1025)
"""Of the powers of two that floats lie below."""
_ROUNDING = 1e-12
"""How far off, for its size, even the forecast of a perfect line is."""


@dataclass(frozen=True)
class Forecast:
    """Values to come, from one origin or from several.

    Attributes:
        mean: (horizon,) or (origins, horizon): the forecast. The mean of the paths that the networks draw, or the plain
            model's value; the nearest whole number if the series is one of whole numbers.
    """

    mean: Values
    _center: Values
    _spread: Values
    _half_widths: Values
    _scale: Scale

    def interval(self, level: float = 0.95) -> tuple[Values, Values]:
        """Lower and upper bounds, shaped like ``mean``, that are to hold this share of the true values.

        They grow no narrower from one step to the next, on the scale that is forecast. Those of whole numbers are whole
        numbers, and those of a series with no value below zero have none below it.
        """
        half = half_width(self._half_widths, level, self.mean.shape[-1]) * self._spread
        rounding = _ROUNDING * (np.abs(self._center) + abs(self._scale.offset) / self._scale.spread)
        half = np.where(self._spread > 0, np.maximum(half, rounding), 0.0)
        # Of bounds that grow no narrower the larger alone would add up the chance in the spreads of few paths.
        above = np.maximum.accumulate(half, axis=-1)
        below = np.minimum.accumulate(half[..., ::-1], axis=-1)[..., ::-1]
        half = (above + below) / 2
        low, high = (self._scale.from_unit(self._center + sign * half) for sign in (-1, 1))
        low, high = self._scale.rounded_bounds(low, high)
        return np.minimum(low, self.mean), np.maximum(high, self.mean)


@dataclass(eq=False, repr=False)
class Forecaster:
    """A fitted model; made by ``fit``, or read by ``load``.

    Attributes:
        settings: What it was fitted with.
        method: The method that forecasts, as in ``ForecastSettings``; never auto.
        name: The same for tables: AR(13) for ar.
        scale: The map between the series and what the model sees.
        season: Points in a season, 1 if there is none.
        series: What it was fitted to; forecasts start at its end.
    """

    settings: ForecastSettings
    method: Method
    name: str
    _members: list[Member]
    _reading: Reading
    _half_widths: Values
    scale: Scale
    season: int
    series: Series

    @property
    def trust(self) -> float:
        """How much of the networks' corrections to the mean is used, 0 to 1."""
        return self._reading.trust

    @property
    def order(self) -> int:
        """How many past values the linear part looks at."""
        return max(member.linear.order for member in self._members)

    @property
    def fewest_points(self) -> int:
        """How many past values a forecast needs."""
        return self.order + self._reading.context

    def forecast(self, horizon: int | None = None, *, history: SeriesLike | None = None) -> Forecast:
        """Forecasts what follows ``history``, or the series that this was fitted to.

        horizon: Steps ahead, the settings' if None; intervals of later steps are as wide as the model's spread says
        and the last measured one demands. Raises InputError for a history that is too short to forecast from, or has
        values too far from those of the fitted series.
        """
        series = self.series if history is None else as_series(history)
        found = self.forecast_from(series, [len(series)], horizon, num_paths=self.settings.num_paths)
        return replace(found, mean=found.mean[0], _center=found._center[0], _spread=found._spread[0])

    def forecast_from(
        self, values: SeriesLike, origins: Sequence[int] | Places, horizon: int | None = None, *, num_paths: int = 100
    ) -> Forecast:
        """Forecasts from several origins, each the place of the first value that is not known, at once.

        values: (points,); values at or after an origin are not used for it.
        """
        scaled, places, horizon = self._read(values, origins, horizon, num_paths)
        if self.method != "network":
            member = self._members[0]
            center = member.linear.forecast(scaled, places, horizon)
            growth = member.linear.error_growth(horizon, member.num_fitted)
            spread = np.broadcast_to(member.spread * growth, center.shape)
            mean = self.scale.from_unit(center)
        else:
            paths = self._draw(scaled, places, horizon, num_paths)
            center, spread = paths.mean(0), paths.std(0)
            # Paths below zero count: a mean without them would be too large.
            mean = (
                self.scale.from_unit(paths).mean(0) if self.scale.transform == "log" else self.scale.from_unit(center)
            )
        return Forecast(self.scale.rounded(mean), center, spread, self._half_widths, self.scale)

    def sample_paths(self, num_paths: int, horizon: int | None = None) -> Values:
        """Possible futures after the series; each value is drawn given the one drawn before (ancestral sampling).

        Returns (paths, horizon). Raises SettingsError for fewer than a path for each member.
        """
        scaled, places, horizon = self._read(self.series, [len(self.series)], horizon, num_paths)
        paths = self._draw(scaled, places, horizon, num_paths)[:, 0]
        return self.scale.rounded(self.scale.from_unit(paths))

    def _read(
        self, values: SeriesLike, origins: Sequence[int] | Places, horizon: int | None, num_paths: int
    ) -> tuple[Values, Places, int]:
        """Checks arguments. Returns the values needed, as the models see them, origins in these, and the horizon."""
        horizon = self.settings.horizon if horizon is None else horizon
        check_count("horizon", horizon, minimum=1, maximum=MAX_HORIZON)
        check_count("num_paths", num_paths, minimum=len(self._members), maximum=MAX_PATHS)
        known = as_series(values).values
        places = check_origins(origins, self.fewest_points, len(known))
        begin = places.min() - self.fewest_points
        return self.scale.to_unit(known[begin : places.max()]), places - begin, horizon

    def _draw(self, scaled: Values, origins: Places, horizon: int, num_paths: int) -> Values:
        """Paths on the members' scale, as many of each member: (paths, origins, horizon)."""
        shares = np.diff(np.linspace(0, num_paths, len(self._members) + 1).astype(int))
        with use_threads(self.settings.threads):
            generator = torch.Generator("cpu").manual_seed(self.settings.seed)
            drawn = [
                draw_paths(member, self._reading, scaled, origins, horizon, int(share), generator)
                for member, share in zip(self._members, shares, strict=True)
            ]
        return np.concatenate(drawn)

    def save(self, path: str | Path) -> None:
        """Writes a folder with ``config.json`` and ``model.safetensors``, the end of the series among them.

        Raises ModelFolderError if that fails, or if the folder holds a model of text.
        """
        check_kind(path, KIND)
        tensors = {
            "half_widths": torch.from_numpy(self._half_widths),
            "values": torch.tensor(self.series.values, device="cpu"),
            "intercepts": torch.from_numpy(np.array([member.linear.intercept for member in self._members])),
            "spreads": torch.from_numpy(np.array([member.spread for member in self._members])),
            "reading": torch.from_numpy(np.array(astuple(self._reading), dtype=np.float64)),
            "scale": torch.from_numpy(np.array(astuple(self.scale)[1:], dtype=np.float64)),
        }
        for i, member in enumerate(self._members):
            tensors[f"members.{i}.coefficients"] = torch.tensor(member.linear.coefficients, device="cpu")
            if member.network is not None:
                tensors |= member.network.state_dict(prefix=f"members.{i}.network.")
        config = {
            "kind": KIND,
            "charloom": __version__,
            "settings": asdict(self.settings),
            "method": self.method,
            "method_name": self.name,
            "transform": self.scale.transform,
            "season": self.season,
            "name": self.series.name,
            "num_fitted": self._members[0].num_fitted,
        }
        write_model_folder(path, config, tensors)

    @classmethod
    def load(cls, path: str | Path) -> "Forecaster":
        """Reads what ``save`` wrote, but for the dates of the series. Runs no code from it.

        Raises ModelFolderError for a folder that is missing, damaged, or of something else.
        """
        config, tensors = read_model_folder(path, KIND)
        try:
            check_finite(tensors)
            settings = ForecastSettings(**config["settings"])
            method, name, season, num_fitted = (
                config[key] for key in ("method", "method_name", "season", "num_fitted")
            )
            check_choice("method", method, Method)
            check_choice("transform", config["transform"], Transform)
            check_type(str, method_name=name)
            check_count("season", season, minimum=1)
            check_count("num_fitted", 1 if num_fitted is None else num_fitted, minimum=1)
            exponent, offset, spread, sign, whole = tensors["scale"].tolist()
            scale = Scale(config["transform"], int(exponent), offset, spread, int(sign), bool(whole))
            context, window_spread, trust = tensors["reading"].tolist()
            reading = Reading(int(context), window_spread, trust)
            members = []
            for i, (intercept, spread) in enumerate(zip(tensors["intercepts"], tensors["spreads"], strict=True)):
                linear = Linear(as_series(tensors[f"members.{i}.coefficients"].numpy()).values, float(intercept))
                network = _load_network(settings, tensors, f"members.{i}.network.") if method == "network" else None
                members.append(Member(linear, float(spread), network, num_fitted=num_fitted))
            half_widths = tensors["half_widths"].numpy()
            if (
                half_widths.shape != (settings.horizon, len(LEVELS))
                or (half_widths < 0).any()
                or not members
                or any(member.spread < 0 or (member.network and not member.spread) for member in members)
                or "auto" in (method, scale.transform)
                or exponent not in _EXPONENTS
                or sign not in (-1, 0, 1)
                or whole not in (0, 1)
                or context not in range(settings.context + 1)
                or not (scale.spread > 0 and reading.window_spread > 0 and 0 <= reading.trust <= 1)
                or (reading.context > 0) != (method == "network")
            ):
                raise ValueError("a model that fit makes has other parts")
            series = Series(tensors["values"].numpy(), config["name"])
            return cls(settings, method, name, members, reading, half_widths, scale, season, series)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, CharloomError) as error:
            raise ModelFolderError(f"{path}: config.json and model.safetensors do not fit ({error!r})") from None


def _load_network(settings: ForecastSettings, tensors: dict[str, torch.Tensor], prefix: str) -> CorrectionNetwork:
    with WithoutInitialWeights():
        network = CorrectionNetwork(settings.cell, settings.hidden_size, device="meta")
    weights = {key.removeprefix(prefix): tensor.float() for key, tensor in tensors.items() if key.startswith(prefix)}
    network.load_state_dict(weights, assign=True)
    network.layer.flatten_parameters()
    return network
