"""A fitted forecaster: what it foretells, how sure it is, and its folder on disk."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charloom.errors import CharloomError, InputError, ModelFolderError, SettingsError
from charloom.forecasting.autoregression import Linear, Places
from charloom.forecasting.intervals import LEVELS, Calibration
from charloom.forecasting.member import Member, Reading, draw_paths
from charloom.forecasting.network import CorrectionNetwork
from charloom.forecasting.series import Series, Values, as_series
from charloom.forecasting.transforms import Chosen, from_scale, to_scale
from charloom.model_folder import WithoutInitialWeights, read_model_folder, write_model_folder
from charloom.recurrence.threads import use_threads
from charloom.settings.forecasting import ForecastSettings
from charloom.version import __version__

_KIND = "forecaster"
_ROUNDING = 1e-12
"""How far off, for its size, even the forecast of a perfect line is."""


@dataclass(frozen=True)
class Forecast:
    """What is to come, from one origin or from several.

    Attributes:
        mean: (horizon,) or (origins, horizon): the mean of the paths that were drawn.
    """

    mean: Values
    _center: Values
    _spread: Values
    _calibration: Calibration
    _transform: Chosen
    _offset: float
    _scale: float

    def interval(self, level: float = 0.95) -> tuple[Values, Values]:
        """Lower and upper bounds, shaped like ``mean``, that are to hold this share of the true values."""
        half = self._calibration.half_width(level, self.mean.shape[-1]) * self._spread
        half = np.maximum(half, _ROUNDING * (np.abs(self._center) + abs(self._offset) / self._scale))
        low, high = ((self._center + sign * half) * self._scale + self._offset for sign in (-1, 1))
        return from_scale(low, self._transform), from_scale(high, self._transform)


class Forecaster:
    """Linear autoregressions with networks that correct them; made by ``fit``, or read by ``load``.

    Attributes:
        settings: What it was fitted with.
        series: What it was fitted to; forecasts go on from its end.
        season: Points in a season, 1 where there is none.
        transform: What is forecast: values (none) or their logarithms (log).
    """

    def __init__(
        self,
        settings: ForecastSettings,
        members: list[Member],
        reading: Reading,
        calibration: Calibration,
        transform: Chosen,
        season: int,
        offset: float,
        scale: float,
        series: Series,
    ) -> None:
        self.settings = settings
        self.series = series
        self.season = season
        self.transform: Chosen = transform
        self._members, self._reading, self._calibration = members, reading, calibration
        self._offset, self._scale = offset, scale

    @property
    def order(self) -> int:
        """How many past values the linear part looks at."""
        return max(member.linear.order for member in self._members)

    @property
    def trust(self) -> float:
        """How much of the networks' corrections to the mean is used, 0 to 1."""
        return self._reading.trust

    @property
    def fewest_points(self) -> int:
        """How many past values a forecast needs."""
        return self.order + self._reading.context

    def forecast(
        self, horizon: int | None = None, *, history: Series | Sequence[float] | NDArray[np.floating] | None = None
    ) -> Forecast:
        """What comes after ``history``, or after the series that this was fitted to.

        horizon: Steps ahead, the settings' where None; intervals of later ones are as wide as the spread of paths says
        and the last measured one demands. Raises InputError for a history too short to forecast from.
        """
        values = self.series.values if history is None else as_series(history).values
        found = self.forecast_from(values, [len(values)], horizon, num_paths=self.settings.num_paths)
        return Forecast(found.mean[0], found._center[0], found._spread[0], *self._fixed())

    def forecast_from(
        self, values: Values, origins: Sequence[int] | Places, horizon: int | None = None, *, num_paths: int = 100
    ) -> Forecast:
        """Forecasts from several origins, each the place of the first value that is not known, in one go.

        values: (points,); what stands at or after an origin is not looked at for it.
        """
        paths = self._draw(values, np.asarray(origins, dtype=np.int64), horizon, num_paths)
        mean = from_scale(paths * self._scale + self._offset, self.transform).mean(0)
        return Forecast(mean, paths.mean(0), paths.std(0), *self._fixed())

    def sample_paths(self, num_paths: int, horizon: int | None = None, *, noise: bool = True) -> Values:
        """Possible futures after the series; each value is drawn given the one drawn before (ancestral sampling).

        noise: Without, each member's one-step forecast is fed back to itself, and there is a path for each member.

        Returns (paths, horizon). Raises InputError for fewer than a path for each member.
        """
        values = self.series.values
        if not noise:
            num_paths = len(self._members)
        paths = self._draw(values, np.array([len(values)]), horizon, num_paths, noise=noise)[:, 0]
        return from_scale(paths * self._scale + self._offset, self.transform)

    def _draw(
        self, values: Values, origins: Places, horizon: int | None, num_paths: int, *, noise: bool = True
    ) -> Values:
        """Paths on the members' scale, as many of each member: (paths, origins, horizon)."""
        horizon = self.settings.horizon if horizon is None else horizon
        if horizon < 1:
            raise SettingsError("it must be at least 1", setting="horizon", value=horizon)
        if num_paths < len(self._members):
            raise SettingsError(
                f"it must be at least {len(self._members)}, one for each member", setting="num_paths", value=num_paths
            )
        if not len(origins) or origins.min() < self.fewest_points or origins.max() > len(values):
            raise InputError(
                f"a forecast needs {self.fewest_points} values before it, and there are "
                f"{min(int(origins.min()), len(values)) if len(origins) else 0}"
            )
        scaled = (to_scale(values[: origins.max()], self.transform) - self._offset) / self._scale
        shares = np.diff(np.linspace(0, num_paths, len(self._members) + 1).astype(int))
        with use_threads(self.settings.threads):
            generator = torch.Generator().manual_seed(self.settings.seed) if noise else None
            drawn = [
                draw_paths(member, self._reading, scaled, origins, horizon, int(share), generator)
                for member, share in zip(self._members, shares, strict=True)
            ]
        return np.concatenate(drawn)

    def _fixed(self) -> tuple[Calibration, Chosen, float, float]:
        return self._calibration, self.transform, self._offset, self._scale

    def save(self, path: str | Path) -> None:
        """Writes a folder with ``config.json`` and ``model.safetensors``, the end of the series among them."""
        tensors = {
            f"members.{i}.{name}": tensor
            for i, member in enumerate(self._members)
            for name, tensor in (
                *((f"network.{key}", weights) for key, weights in member.network.state_dict().items()),
                ("coefficients", torch.from_numpy(member.linear.coefficients)),
            )
        }
        tensors["half_widths"] = torch.from_numpy(self._calibration.half_widths)
        tensors["values"] = torch.from_numpy(self.series.values)
        config = {
            "kind": _KIND,
            "charloom": __version__,
            "settings": asdict(self.settings),
            "season": self.season,
            "transform": self.transform,
            "offset": self._offset,
            "scale": self._scale,
            "name": self.series.name,
            "reading": asdict(self._reading),
            "members": [
                {"intercept": m.linear.intercept, "spread": m.spread, "block": list(m.block)} for m in self._members
            ],
        }
        write_model_folder(path, config, tensors)

    @classmethod
    def load(cls, path: str | Path) -> "Forecaster":
        """Reads what ``save`` wrote, but for the dates of the series. Runs no code from it.

        Raises ModelFolderError for a folder that is missing, damaged, or of something else.
        """
        config, tensors = read_model_folder(path)
        if config.get("kind") != _KIND:
            raise ModelFolderError(f"{path}: a model of text, not a forecaster")
        try:
            return cls._from_config(config, tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, CharloomError) as error:
            raise ModelFolderError(f"{path}: config.json and model.safetensors do not fit ({error!r})") from None

    @classmethod
    def _from_config(cls, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> "Forecaster":
        settings = ForecastSettings(**config["settings"])
        members = []
        for i, entry in enumerate(config["members"]):
            prefix = f"members.{i}."
            with torch.device("meta"), WithoutInitialWeights():
                network = CorrectionNetwork(settings.cell, settings.hidden_size)
            weights = {
                key.removeprefix(f"{prefix}network."): t
                for key, t in tensors.items()
                if key.startswith(f"{prefix}network.")
            }
            network.load_state_dict(weights, assign=True)
            network.layer.flatten_parameters()
            linear = Linear(tensors[f"{prefix}coefficients"].numpy(), float(entry["intercept"]))
            begin, end = entry["block"]
            members.append(Member(linear, float(entry["spread"]), network.eval(), (begin, end)))
        half_widths = tensors["half_widths"].numpy()
        if half_widths.shape != (settings.horizon, len(LEVELS)) or not members:
            raise ValueError("half_widths")
        if config["transform"] not in ("none", "log"):
            raise ValueError("transform")
        reading = Reading(**config["reading"])
        series = as_series(Series(tensors["values"].numpy(), str(config["name"])))
        numbers = int(config["season"]), float(config["offset"]), float(config["scale"])
        return cls(settings, members, reading, Calibration(half_widths), config["transform"], *numbers, series)
