"""The HTML of a training history: its curves, and the figures of its last and best epochs."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charloom.io import markup, plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from charloom.training.history import EpochRecord, History

_MAX_VALUE = 1e6
"""Maximum perplexity drawn; higher ones are clipped, since a diverging run would flatten the rest of its curve."""


def make_history_markup(history: "History") -> str:
    """Returns the curves of the perplexities, and a table of figures."""
    if not history:
        return markup.join(markup.make_note("no epochs"))
    last, best = history[-1], history.best
    rows: list[tuple[str, object]] = [
        ("epochs", last.epoch),
        ("seconds", last.seconds),
        ("characters per second", last.chars_per_second),
        ("perplexity", last.perplexity),
    ]
    if last.validation_perplexity is not None:
        rows.append(("validation perplexity", last.validation_perplexity))
    if best is not None and best.epoch != last.epoch:
        rows.append((f"best validation perplexity, epoch {best.epoch}", best.validation_perplexity))
    return markup.join(markup.Markup(_draw(history)), markup.make_properties(rows))


def _draw(history: "History") -> str:
    """Returns the curves as SVG; an empty text if no perplexity is finite."""
    figure = plots.new_figure(6, 3.2)
    if not draw_curves(figure.add_subplot(), history):
        return ""
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return plots.render_inline(figure)


def draw_curves(axes: "Axes", history: "History") -> bool:
    """Draws training and validation perplexity over epochs; returns False if there is nothing to draw."""
    # Imported here, since matplotlib takes long to import.
    from matplotlib.ticker import MaxNLocator

    curves = {
        "training": _points(history, [record.perplexity for record in history]),
        "validation": _points(history, [record.validation_perplexity for record in history]),
    }
    for label, points in curves.items():
        if points:
            note = f", cut off at {_MAX_VALUE:,.0f}" if any(value == _MAX_VALUE for _, value in points) else ""
            # A line of one point is invisible without a marker.
            axes.plot(*zip(*points, strict=True), label=label + note, marker="o" if len(points) == 1 else None)
    plots.set_perplexity_axis(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("epoch")
    return any(curves.values())


def _points(history: Sequence["EpochRecord"], values: Sequence[float | None]) -> list[tuple[int, float]]:
    """Returns the epochs and perplexities that a logarithmic axis can show."""
    pairs = zip(history, values, strict=True)
    return [
        (record.epoch, min(value, _MAX_VALUE))
        for record, value in pairs
        if value is not None and not math.isnan(value) and value > 0
    ]
