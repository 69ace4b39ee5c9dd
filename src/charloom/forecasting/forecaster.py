"""A fitted forecaster: its forecasts, its sampled paths, and its folder on disk.

``fitting`` makes it; ``forecast`` computes intervals; ``network`` samples the paths of an ensemble.
"""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from charloom.errors import CharloomError, ModelFolderError
from charloom.forecasting.autoregression import Indices, Linear, check_origins, compute_error_stds
from charloom.forecasting.forecast import Forecast
from charloom.forecasting.intervals import LEVELS
from charloom.forecasting.network import (
    EARLIER_MAX_LOG_VARIANCE,
    Member,
    ResidualConfig,
    ResidualNetwork,
    draw_paths,
)
from charloom.forecasting.series import Series, SeriesLike, Values, as_series
from charloom.forecasting.transforms import Scale
from charloom.models.folder import SkipInit, check_replaceable, read_model_folder, write_model_folder
from charloom.models.predictor import check_finite
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import MAX_HORIZON, MAX_PATHS, ForecastSettings, Method, Transform
from charloom.settings.limits import check_choice, check_count
from charloom_codec.arguments import check_type
from charloom_codec.version import __version__

KIND = "forecaster"
"""Kind of the folder, in ``config.json``."""
_EXPONENTS = range(-1074, 1025)
"""Exponents of the powers of two between which floats lie."""


@dataclass(eq=False, repr=False)
class Forecaster:
    """Fitted model, made by ``fit`` or read by ``load``.

    Attributes:
        settings: Settings that it was fitted with.
        method: Forecasting method, as in ``ForecastSettings``, except auto.
        name: The method with its parameters, for tables: AR(13) for ar, seasonal naive (12) for seasonal-naive.
        scale: Map between the unit of the series and that of the model.
        season: Points per season, 1 if there is none.
        series: Series that it was fitted to; forecasts start at its end.
    """

    settings: ForecastSettings
    method: Method
    name: str
    _members: list[Member]
    _config: ResidualConfig
    _half_widths: Values
    scale: Scale
    season: int
    series: Series

    @property
    def shrinkage(self) -> float:
        """Factor by which the residual networks' mean predictions are multiplied: 1 for the full ones, 0 for none."""
        return self._config.shrinkage

    @property
    def order(self) -> int:
        """Maximum order of the linear part: number of past values that it uses."""
        return max(member.linear.order for member in self._members)

    @property
    def min_points(self) -> int:
        """Number of past values that a forecast needs."""
        return self.order + self._config.context

    def forecast(self, horizon: int | None = None, *, history: SeriesLike | None = None) -> Forecast:
        """Forecasts the values after ``history``, or after the series that it was fitted to.

        A network forecasts from ``settings.num_paths`` sampled paths.

        Args:
            horizon: Number of steps ahead; None for that of the settings. Intervals beyond the horizon of the settings
                grow with the spread of the model and use the calibration of the last calibrated step.
            history: Evenly spaced values to forecast from; None for the fitted series.

        Raises:
            InputError: The history is too short, or has values too far from those of the fitted series.
            SeriesError: The history is not a valid series, or logarithms are forecast and it has a value of 0 or less.
            SettingsError: The horizon is invalid.
        """
        series = self.series if history is None else as_series(history)
        forecast = self.forecast_from(series, [len(series)], horizon, num_paths=self.settings.num_paths)
        return replace(forecast, mean=forecast.mean[0], _center=forecast._center[0], _spread=forecast._spread[0])

    def forecast_from(
        self, values: SeriesLike, origins: Sequence[int] | Indices, horizon: int | None = None, *, num_paths: int = 100
    ) -> Forecast:
        """Forecasts from several origins at once.

        Args:
            values: Evenly spaced values: (points,). Values at or after an origin are not used for it.
            origins: Indices of the first unknown values.
            horizon: Number of steps ahead; None for that of the settings.
            num_paths: Number of sampled paths per origin, at least one for each ensemble member. Without effect on
                methods other than network. ``forecast`` uses that of the settings.

        Returns:
            The forecast, with arrays (origins, horizon).

        Raises:
            InputError: An origin has too few values before it or is beyond the end, or values are too far from those of
                the fitted series.
            SeriesError: As for ``forecast``.
            SettingsError: The horizon or the number of paths is invalid.
        """
        scaled, indices, horizon = self._prepare(values, origins, horizon, num_paths)
        if self.method != "network":
            member = self._members[0]
            center = member.linear.forecast(scaled, indices, horizon)
            num_fitted = None if member.num_fitted is None else np.array([float(member.num_fitted)])
            stds = compute_error_stds([member.linear], horizon, num_fitted)[0]
            spread = np.broadcast_to(member.spread * stds, center.shape)
            mean = self.scale.from_unit(center)
        else:
            paths = self._draw(scaled, indices, horizon, num_paths)
            center, spread = paths.mean(0), paths.std(0)
            # The exponential of a mean is not the mean of exponentials. Without a logarithm the paths below zero count:
            # a mean of clipped paths would be too large.
            mean = (
                self.scale.from_unit(paths).mean(0) if self.scale.transform == "log" else self.scale.from_unit(center)
            )
        return Forecast(self.scale.round_values(mean), center, spread, self._half_widths, self.scale)

    def sample_paths(self, num_paths: int, horizon: int | None = None) -> Values:
        """Samples paths after the series; each value is drawn given the ones before (ancestral sampling).

        The same arguments give the same paths (``settings.seed``). Methods other than network sample the errors of
        their linear model.

        Args:
            num_paths: Number of paths, at least one for each ensemble member.
            horizon: Number of steps ahead; None for that of the settings.

        Returns:
            Paths in the unit of the series: (paths, horizon).
        """
        scaled, indices, horizon = self._prepare(self.series, [len(self.series)], horizon, num_paths)
        paths = self._draw(scaled, indices, horizon, num_paths)[:, 0]
        return self.scale.round_values(self.scale.from_unit(paths))

    def _prepare(
        self, values: SeriesLike, origins: Sequence[int] | Indices, horizon: int | None, num_paths: int
    ) -> tuple[Values, Indices, int]:
        """Checks arguments. Returns the needed values on the model's scale, origins in these, and the horizon."""
        horizon = self.settings.horizon if horizon is None else horizon
        check_count("horizon", horizon, minimum=1, maximum=MAX_HORIZON)
        check_count("num_paths", num_paths, minimum=len(self._members), maximum=MAX_PATHS)
        known = as_series(values).values
        indices = check_origins(origins, self.min_points, len(known))
        # Values before these may be too far from the fitted series to be scaled, and are not needed.
        start = indices.min() - self.min_points
        return self.scale.to_unit(known[start : indices.max()]), indices - start, horizon

    def _draw(self, scaled: Values, origins: Indices, horizon: int, num_paths: int) -> Values:
        """Samples paths on the model's scale: (paths, origins, horizon). Members' numbers differ by at most one."""
        shares = np.diff(np.linspace(0, num_paths, len(self._members) + 1).astype(int))
        with use_threads(self.settings.threads):
            # A new generator for each call: the same arguments give the same forecast.
            generator = torch.Generator("cpu").manual_seed(self.settings.seed)
            each = [origins] * len(self._members)
            return np.concatenate(
                draw_paths(self._members, self._config, scaled, each, horizon, shares.tolist(), generator)
            )

    def save(self, path: str | Path) -> None:
        """Writes a folder with ``config.json`` and ``model.safetensors``, which include the values of the series.

        Args:
            path: Folder; it is created, or a forecaster in it is replaced.

        Raises:
            ModelFolderError: Writing failed, or the folder contains a language model, an interrupted run or a damaged
                config.
        """
        check_replaceable(path, KIND)
        tensors = {
            "half_widths": torch.from_numpy(self._half_widths),
            "values": torch.tensor(self.series.values, device="cpu"),
            "intercepts": torch.from_numpy(np.array([member.linear.intercept for member in self._members])),
            "spreads": torch.from_numpy(np.array([member.spread for member in self._members])),
            # A key of the file format: the attributes of ResidualConfig in order.
            "reading": torch.from_numpy(np.array(astuple(self._config), dtype=np.float64)),
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
        """Reads a folder written by ``save``, without the dates of the series. Runs no code from it.

        Raises:
            ModelFolderError: The folder is missing, damaged, or contains another kind of model.
        """
        config, tensors = read_model_folder(path, KIND)
        try:
            # The file may come from anywhere: check everything that a forecast relies on.
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
            exponent, offset, spread, sign, is_integer = tensors["scale"].tolist()
            scale = Scale(config["transform"], int(exponent), offset, spread, int(sign), bool(is_integer))
            context, window_spread, shrinkage = tensors["reading"].tolist()
            residual_config = ResidualConfig(int(context), window_spread, shrinkage)
            # A network that predicts nothing is not part of the model; a missing tensor of another one is an error.
            has_networks = method == "network" and any(name.startswith("members.0.network.") for name in tensors)
            members = []
            for i, (intercept, spread) in enumerate(zip(tensors["intercepts"], tensors["spreads"], strict=True)):
                linear = Linear(as_series(tensors[f"members.{i}.coefficients"].numpy()).values, float(intercept))
                network = _load_network(settings, tensors, f"members.{i}.network.") if has_networks else None
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
                or is_integer not in (0, 1)
                or context not in range(settings.context + 1)
                or not (scale.spread > 0 and residual_config.window_spread > 0 and 0 <= residual_config.shrinkage <= 1)
                or (residual_config.context > 0) != (method == "network")
            ):
                raise ValueError("values that no fitted model has")
            series = Series(tensors["values"].numpy(), config["name"])
            return cls(settings, method, name, members, residual_config, half_widths, scale, season, series)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, CharloomError) as error:
            raise ModelFolderError(f"{path}: config.json and model.safetensors do not match ({error!r})") from None


def _load_network(settings: ForecastSettings, tensors: dict[str, torch.Tensor], prefix: str) -> ResidualNetwork:
    """Makes a network from the tensors whose names have the prefix."""
    # The file has all weights, so none are drawn.
    with SkipInit():
        network = ResidualNetwork(settings.cell, settings.hidden_size, device="meta")
    weights = {key.removeprefix(prefix): tensor.float() for key, tensor in tensors.items() if key.startswith(prefix)}
    earlier_limit = torch.tensor(EARLIER_MAX_LOG_VARIANCE, dtype=torch.float32, device="cpu")
    network.load_state_dict({"max_log_variance": earlier_limit} | weights, assign=True)
    if not 0 < network.max_log_variance <= EARLIER_MAX_LOG_VARIANCE:
        raise ValueError("a limit of the log variance that no fitted model has")
    network.layer.flatten_parameters()
    return network
