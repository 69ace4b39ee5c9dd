"""``charloom info``."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from charloom.errors import pluralize
from charloom_codec.cli import screen
from charloom_codec.version import __version__

if TYPE_CHECKING:
    from charloom.forecasting import Forecaster
    from charloom.models.language_model import LanguageModel


def info(model: Path | None = None, /) -> None:
    """Show versions, device and threads, and the properties of a model.

    Parameters
    ----------
    model
        Folder of a model saved by 'charloom train' or 'charloom forecast --save'. Default: no model is shown.
    """
    # Imported here: importing PyTorch takes seconds, for which "charloom --help" must not wait.
    import numpy as np
    import torch

    from charloom.forecasting.forecaster import KIND, Forecaster
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
        found = _forecaster_rows(Forecaster.load(model)) if is_forecaster else _model_rows(LanguageModel.load(model))
        rows += [("", ""), ("model", str(model)), *found]
    shown = [(name, screen.printable(value)) for name, value in rows]
    screen.show_table(screen.results(), ("", ""), shown, texts=(0, 1))


def _model_rows(model: "LanguageModel") -> list[tuple[str, str]]:
    """Returns names and values of a language model's properties, and of its training as far as it is known."""
    layer, vocabulary = model.layer, model.vocabulary
    parameters = sum(parameter.numel() for parameter in model.parameters())
    normalization = [name.replace("_", " ") for name, on in vars(vocabulary.clean_up).items() if on]
    rows = [
        ("cell", layer.mode.lower().replace("_", " ")),
        ("layers", f"{layer.num_layers} x {layer.hidden_size} units"),
        ("input", f"embedding of size {model.embedding.embedding_dim}" if model.embedding else "one-hot"),
        ("vocabulary", f"{len(vocabulary)} tokens, unit {vocabulary.unit}"),
        ("normalization", ", ".join(normalization) or "none"),
        ("parameters", f"{parameters:,} ({sum(p.nbytes for p in model.parameters()):,} bytes)"),
    ]
    # The folder may come from another program or a later version: only what is present and a table is shown.
    provenance = model.provenance
    for title, table in (("text", "corpus"), ("result", "results"), ("training", "training")):
        values = provenance.get(table)
        if isinstance(values, dict):
            rows += [(f"{title} {name.replace('_', ' ')}", _shown(value)) for name, value in values.items()]
    if "charloom" in provenance:
        rows.append(("saved by", f"charloom {provenance['charloom']}"))
    return rows


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


def _shown(value: object) -> str:
    # JSON has one type of number, so an int may come back as a float: 3.0 is shown as 3.
    if isinstance(value, float) and value == value // 1:
        return f"{value:.0f}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, bool):  # as in recipes
        return "true" if value else "false"
    return "not set" if value is None else f"{value:.6g}" if isinstance(value, float) else f"{value}"
