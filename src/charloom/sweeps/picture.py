"""A sweep as a picture: its curves, and what a number that was varied does."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charloom.io import plots
from charloom.sweeps.results import CombinationResult, SweepResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_CURVES = 8
"""Combinations drawn: more colours than these nobody tells apart."""
_MAX_VALUE = 1e6
"""A perplexity above this is drawn as this: one run gone wild would press all others together."""


def draw_sweep(results: SweepResults) -> bytes:
    """Training and validation perplexity against epochs; against the varied value too, if that is one number. A PNG."""
    combinations = results.combinations()
    differing = [name for name in results.varied if len({one.values[name] for one in combinations}) > 1]
    number = differing[0] if len(differing) == 1 and _numbers(differing[0], combinations) else None
    figure = plots.new_figure(11 if number else 7, 5.2)
    axes = figure.subplots(1, 2 if number else 1, squeeze=False)[0]
    _draw_curves(axes[-1], combinations, differing)
    if number:
        _draw_against(axes[0], number, combinations)
    for one in axes:
        plots.set_perplexity_axis(one)
    return plots.render_figure(figure)


def _numbers(name: str, combinations: Sequence[CombinationResult]) -> list[float]:
    """The values of a setting that was varied, if all are numbers; else none."""
    values = [one.values[name] for one in combinations]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return numbers if len(numbers) == len(values) else []


def _draw_curves(axes: "Axes", combinations: Sequence[CombinationResult], differing: Sequence[str]) -> None:
    """Each seed a line."""
    for index, one in enumerate(combinations[:_MAX_CURVES]):
        colour = f"C{index}"
        label = ", ".join(f"{name.replace('_', ' ')} {one.values[name]}" for name in differing)
        for run in one.runs:
            marker = "o" if len(run.history) == 1 else None
            epochs = [record.epoch for record in run.history]
            validation = [
                (record.epoch, min(record.validation_perplexity, _MAX_VALUE))
                for record in run.history
                if record.validation_perplexity is not None
            ]
            training = [min(record.perplexity, _MAX_VALUE) for record in run.history]
            axes.plot(epochs, training, "--" if validation else "-", color=colour, lw=1, label=None, marker=marker)
            if validation:
                axes.plot(*zip(*validation, strict=True), "-", color=colour, lw=1.2, marker=marker)
        axes.plot([], [], color=colour, label=label or "all seeds")
    if any(one.validation_perplexity for one in combinations):
        axes.plot([], [], "-", color="0.3", label="validation")
        axes.plot([], [], "--", color="0.3", label="training")
    else:
        axes.plot([], [], "-", color="0.3", label="training")
    axes.set_xlabel("epoch")
    left_out = len(combinations) - _MAX_CURVES
    axes.set_title(f"the best {_MAX_CURVES} of {len(combinations)} combinations" if left_out > 0 else "each run a line")
    _set_legend(axes, 7)


def _draw_against(axes: "Axes", name: str, combinations: Sequence[CombinationResult]) -> None:
    """Means over seeds, a standard deviation to each side."""
    values = _numbers(name, combinations)
    for label, figure, style in (
        ("validation", "validation_perplexity", "o-"),
        ("best validation", "best_validation_perplexity", "^:"),
        ("training", "perplexity", "s--"),
    ):
        pairs = sorted((value, getattr(one, figure)) for value, one in zip(values, combinations, strict=True))
        points = [(value, pair.mean, pair.spread or 0.0) for value, pair in pairs if pair and math.isfinite(pair.mean)]
        if points:
            places, means, spreads = zip(*points, strict=True)
            axes.errorbar(places, means, yerr=spreads, fmt=style, capsize=3, label=label)
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
    """Below: curves may be anywhere above."""
    longest = max(len(label) for label in axes.get_legend_handles_labels()[1])
    columns = max(1, min(3, 90 // (longest + 6)))  # what is wider than the axes would leave them no room
    axes.legend(fontsize=size, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=columns, frameon=False)
