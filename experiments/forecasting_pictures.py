"""The pictures of ``docs/exercises/forecasting.md``, and constants shared with the measurements."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.page import COLORS, Results, make_figure

FITTED = 600
LENGTH = 1000
HORIZON = 64
SHOWN = (1, 4, 16, 64)
LEVELS = (0.8, 0.95)
OURS = "charloom"


def packed(values: Iterable[float]) -> str:
    """Returns numbers as one string, so that they take a single line in a results file."""
    return " ".join(f"{value:.5g}" for value in values)


def _unpacked(line: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.array([float(number) for number in line.split()])


def make_figures(results: Results) -> dict[str, Figure]:
    """Returns the figures of one step, many steps, coverage by steps ahead, and the real series."""
    return {
        "one-step": _draw_one_step(results["example"]),
        "fan": _draw_fan(results["example"]),
        "coverage": _draw_coverage(results["chapter"]),
        "real": _draw_real(results["real"][-1]),
    }


def _draw_one_step(example: dict[str, Any]) -> Figure:
    drawing = make_figure()
    axes = drawing.subplots()
    times = np.arange(FITTED + 1, LENGTH + 1)
    axes.plot(times, _unpacked(example["values"])[FITTED:], ".", ms=3, color="#aaaaaa", label="observed")
    axes.plot(times, _unpacked(example["steps"]["1"]["AR(4)"]), color=COLORS[1], lw=1, label="AR(4)")
    axes.plot(times, _unpacked(example["steps"]["1"]["mean"]), color=COLORS[0], lw=1.5, label=OURS)
    axes.plot(times, _unpacked(example["clean"])[FITTED:], color="black", lw=1, ls="--", label="without noise")
    axes.set_xlabel("time t (steps)")
    axes.set_ylabel("x (no unit), 1 step ahead")
    drawing.legend(loc="outside upper center", ncols=4, frameon=False)
    return drawing


def _draw_fan(example: dict[str, Any]) -> Figure:
    drawing = make_figure(6.4, 7.2)
    for axes, step in zip(drawing.subplots(3, 1, sharex=True, sharey=True), SHOWN[1:], strict=True):
        found = example["steps"][str(step)]
        times = np.arange(FITTED + step, LENGTH + 1)
        for level, name in (("0.95", "95%"), ("0.8", "80%")):
            axes.fill_between(
                times, *map(_unpacked, found[level]), color=COLORS[0], alpha=0.22, lw=0, label=f"{name} interval"
            )
        axes.plot(
            times, _unpacked(example["values"])[FITTED + step - 1 :], ".", ms=3, color="#777777", label="observed"
        )
        axes.plot(times, _unpacked(found["AR(4)"]), color=COLORS[1], lw=1, label="AR(4)")
        axes.plot(times, _unpacked(found["mean"]), color=COLORS[0], lw=1.5, label=OURS)
        axes.set_ylabel(f"x, {step} steps ahead")
    axes.set_xlabel("time t (steps)")
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return drawing


def _draw_coverage(chapter: Sequence[dict[str, Any]]) -> Figure:
    drawing = make_figure()
    axes = drawing.subplots()
    steps = np.arange(1, HORIZON + 1)
    for level, color in zip(LEVELS, COLORS, strict=False):
        shares = 100 * np.array([_unpacked(run["curves"][str(level)]) for run in chapter])
        axes.axhspan(100 * level - 5, 100 * level + 5, color=color, alpha=0.08, lw=0)
        axes.axhline(100 * level, color=color, lw=1, ls="--")
        axes.fill_between(steps, shares.min(0), shares.max(0), color=color, alpha=0.25, lw=0)
        axes.plot(steps, shares.mean(0), color=color, label=f"{level:.0%} intervals: mean, range over seeds")
    axes.set_xscale("log", base=2)
    axes.set_xticks(SHOWN, [str(step) for step in SHOWN])
    axes.set_ylim(60, 100)
    axes.set_xlabel("steps ahead (log scale)")
    axes.set_ylabel("coverage (%)")
    axes.legend(loc="lower left", frameon=False)
    return drawing


def _draw_real(run: dict[str, Any]) -> Figure:
    drawing = make_figure()
    axes = drawing.subplots()
    past, future = np.arange(-59, 1), np.arange(1, 25)
    axes.plot(past, _unpacked(run["past"]), color="black", lw=1)
    for level, name in (("0.95", "95%"), ("0.8", "80%")):
        low, high = map(_unpacked, run["bounds"][level])
        axes.fill_between(future, low, high, color=COLORS[0], alpha=0.22, lw=0, label=f"{name} interval")
    axes.plot(future, _unpacked(run["future"]), color="black", lw=1, label="observed")
    axes.plot(future, _unpacked(run["seasonal"]), color=COLORS[1], lw=1.2, label="seasonal naive")
    axes.plot(future, _unpacked(run["mean"]), color=COLORS[0], lw=1.5, label=OURS)
    axes.set_xticks(range(-60, 25, 12))
    axes.set_xlabel(f"months after {run['label']}")
    axes.set_ylabel("carbon dioxide (ppm)")
    drawing.legend(loc="outside upper center", ncols=3, frameon=False)
    return drawing
