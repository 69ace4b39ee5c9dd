"""``charloom info``."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from charloom.errors import pluralize
from charloom_codec.cli import screen
from charloom_codec.version import __version__

if TYPE_CHECKING:
    from charloom.forecasting import Forecaster


def info(model: Path | None = None, /) -> None:
    """Show versions, device and threads, and the properties of a model.

    Parameters
    ----------
    model
        Folder of a model saved by 'charloom train' or 'charloom forecast --save', or name of a model on the Hub
        (hf:USER/NAME). Default: no model is shown.
    """
    # Imported here: importing PyTorch takes seconds, for which "charloom --help" must not wait.
    import numpy as np
    import torch

    from charloom.forecasting.forecaster import KIND, Forecaster
    from charloom.models.description import describe_model
    from charloom.models.device import find_device
    from charloom.models.folder import read_kind
    from charloom.models.language_model import LanguageModel
    from charloom.recurrence.backend import backend

    # The GPU if there is one, as --device auto would choose.
    device = find_device("auto")
    rows = [
        ("charloom", __version__),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("torch", torch.__version__),
        ("numpy", np.__version__),
        ("device", torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"),
        ("threads", str(torch.get_num_threads())),
        ("recurrence", backend().describe()),
    ]
    # A folder states its kind, so that a forecaster is not loaded as a language model.
    if model is not None:
        is_forecaster = read_kind(model) == KIND
        found = _forecaster_rows(Forecaster.load(model)) if is_forecaster else describe_model(LanguageModel.load(model))
        rows += [("", ""), ("model", str(model)), *found]
    shown = [(name, screen.printable(value)) for name, value in rows]
    screen.show_table(screen.results(), ("", ""), shown, texts=(0, 1))


def _forecaster_rows(forecaster: "Forecaster") -> list[tuple[str, str]]:
    """Returns names and values of a forecaster's properties."""
    # The settings also hold the sizes of a network when another method was chosen.
    settings, has_networks = forecaster.settings, forecaster.method == "network"
    return [
        ("kind", "forecaster"),
        ("method", forecaster.name),
        ("lags", str(forecaster.order)),
        ("cell", f"{settings.cell}, {settings.hidden_size} units" if has_networks else "none"),
        ("members", str(settings.members if has_networks else 1)),
        ("season", pluralize(forecaster.season, "point") if forecaster.season > 1 else "none"),
        ("scale", "logarithmic" if forecaster.scale.transform == "log" else "linear"),
        ("horizon", pluralize(settings.horizon, "step")),
        ("series", f"{forecaster.series.name}, {pluralize(len(forecaster.series), 'point')}"),
    ]
