"""The picture of a sweep: the curves of its runs, and the effect of a varied number."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charloom.io import plots
from charloom.sweeps.results import CombinationResult, SweepResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_CURVES = 8
"""Maximum number of combinations drawn: more colors are hard to distinguish."""
_MAX_VALUE = 1e6
"""Maximum perplexity drawn; higher ones are clipped, since one diverging run would flatten all other curves."""


def draw_sweep(results: SweepResults) -> bytes:
    """Returns a PNG of the perplexities against epochs and, if a single number was varied, against its values."""
    combinations = results.combinations()
    differing = [name for name in results.varied if len({one.values[name] for one in combinations}) > 1]
    # Several varied settings, or strings, have no common horizontal axis.
    number = differing[0] if len(differing) == 1 and _numeric_values(differing[0], combinations) else None
    figure = plots.new_figure(11 if number else 7, 5.2)
    axes = figure.subplots(1, 2 if number else 1, squeeze=False)[0]
    _draw_curves(axes[-1], combinations, differing)
    if number:
        _draw_by_value(axes[0], number, combinations)
    for one in axes:
        plots.set_perplexity_axis(one)
    return plots.render_figure(figure)


def _numeric_values(name: str, combinations: Sequence[CombinationResult]) -> list[float]:
    """Returns the values of a varied setting if all are numbers; otherwise an empty list."""
    values = [one.values[name] for one in combinations]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return numbers if len(numbers) == len(values) else []


def _draw_curves(axes: "Axes", combinations: Sequence[CombinationResult], differing: Sequence[str]) -> None:
    """Draws the training and validation curves of each run; runs that differ in the seed only share a color."""
    for index, one in enumerate(combinations[:_MAX_CURVES]):
        color = f"C{index}"
        label = ", ".join(f"{name.replace('_', ' ')} {one.values[name]}" for name in differing)
        for run in one.runs:
            # A line of a single point is invisible without a marker.
            marker = "o" if len(run.history) == 1 else None
            epochs = [record.epoch for record in run.history]
            validation = [
                (record.epoch, min(record.validation_perplexity, _MAX_VALUE))
                for record in run.history
                if record.validation_perplexity is not None
            ]
            training = [min(record.perplexity, _MAX_VALUE) for record in run.history]
            axes.plot(epochs, training, "--" if validation else "-", color=color, lw=1, label=None, marker=marker)
            if validation:
                axes.plot(*zip(*validation, strict=True), "-", color=color, lw=1.2, marker=marker)
        # Empty lines make the legend: one entry per combination instead of one per run.
        axes.plot([], [], color=color, label=label or "all seeds")
    validated = any(one.validation_perplexity for one in combinations)
    if validated:
        axes.plot([], [], "-", color="0.3", label="validation")
    axes.plot([], [], "--" if validated else "-", color="0.3", label="training")
    axes.set_xlabel("epoch")
    num_omitted = len(combinations) - _MAX_CURVES
    axes.set_title(
        f"the best {_MAX_CURVES} of {len(combinations)} combinations" if num_omitted > 0 else "one line per run"
    )
    _set_legend(axes, 7)


def _draw_by_value(axes: "Axes", name: str, combinations: Sequence[CombinationResult]) -> None:
    """Draws the mean perplexities over seeds against a varied number; error bars show the standard deviations."""
    values = _numeric_values(name, combinations)
    for label, figure, style in (
        ("validation", "validation_perplexity", "o-"),
        ("best validation", "best_validation_perplexity", "^:"),
        ("training", "perplexity", "s--"),
    ):
        # Lines connect the points in the order of the values, not of the results.
        pairs = sorted((value, getattr(one, figure)) for value, one in zip(values, combinations, strict=True))
        # A diverged run makes the mean infinite, which cannot be drawn.
        points = [(value, pair.mean, pair.spread or 0.0) for value, pair in pairs if pair and math.isfinite(pair.mean)]
        if points:
            places, means, spreads = zip(*points, strict=True)
            axes.errorbar(places, means, yerr=spreads, fmt=style, capsize=3, label=label)
    # Values over a factor of 8 or more, such as 64, 128, ..., 512, are mostly geometric.
    ticks = sorted(values)
    if ticks[0] > 0 and ticks[-1] >= 8 * ticks[0]:
        axes.set_xscale("log", base=2 if isinstance(ticks[0], int) else 10)
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks], minor=False)
        axes.set_xticks([], minor=True)
    label = name.replace("_", " ")
    axes.set_xlabel(f"{label} (log scale)" if axes.get_xscale() == "log" else label)
    axes.set_title("after training: mean and spread over seeds")
    _set_legend(axes, 8)


def _set_legend(axes: "Axes", size: int) -> None:
    """Places the legend below the axes, since curves may cover any part of them."""
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    columns = max(1, min(3, 90 // (longest + 6)))  # a legend wider than the axes would shrink them
    axes.legend(fontsize=size, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns, frameon=False)
