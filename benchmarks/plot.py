"""Draws ``results/steps.json`` to ``docs/pictures/steps.svg``: speed of a training step relative to PyTorch eager."""

import json
from pathlib import Path
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from rows import ROWS, Row

_ROOT = Path(__file__).parent.parent
_COLORS = {"charloom bfloat16": "#0b4f8a", "charloom float32": "#3a8fd6"}
_OTHERS = "#a9afb5"
_NAMES = {"jax": "JAX", "keras": "Keras", "mxnet": "MXNet"}
_LIMITS = (0.13, 60)


def _title(row: Row) -> str:
    layers = "" if row.layers == 1 else f", {row.layers} layers"
    threads = "one thread" if row.threads == 1 else f"{row.threads} threads"
    return f"{row.cell.upper()} {row.hidden}{layers}, batch {row.batch}, {row.steps} steps, {threads}"


def _draw_row(axes: Axes, row: Row, ratios: dict[str, Any]) -> None:
    """Draws bars from 1, the speed of PyTorch eager, to the median; thin lines show the range over rounds."""
    names = sorted((name for name in ratios if name != "pytorch"), key=lambda name: ratios[name]["median"])
    for position, name in enumerate(names):
        ratio = ratios[name]
        own = name in _COLORS
        digits = 0 if ratio["median"] > 9.95 else 1 if ratio["median"] > 0.995 else 2
        axes.barh(position, ratio["median"] - 1, left=1, height=0.74, color=_COLORS.get(name, _OTHERS))
        axes.plot([ratio["min"], ratio["max"]], [position, position], color="#222222", linewidth=0.7)
        axes.text(
            max(ratio["max"], ratio["median"], 1) * 1.08,
            position,
            f"{ratio['median']:.{digits}f}x",
            va="center",
            fontsize=8,
            fontweight="bold" if own else "normal",
        )
    labels = [_NAMES.get(name, name.replace("pytorch", "PyTorch")) for name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    for name, label in zip(names, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if name in _COLORS else "normal")
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_title(_title(row), fontsize=8.5, loc="left", pad=3)
    axes.axvline(1, color="#222222", linewidth=0.8)
    axes.tick_params(axis="both", length=0)
    axes.grid(visible=True, axis="x", alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def main() -> None:
    """Draws the picture from the stored results."""
    rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "charloom", "font.family": "sans-serif"})
    measured = json.loads((_ROOT / "benchmarks" / "results" / "steps.json").read_text())
    rows = [row for row in ROWS if row.name in measured["results"]]
    # Narrow enough to be readable on a phone.
    figure = Figure(figsize=(4.6, 0.6 + 1.28 * len(rows)), layout="constrained", facecolor="white")
    figure.suptitle("Speed of a training step,\nrelative to PyTorch eager (log scale)", fontsize=10.5)
    for number, row in enumerate(rows, 1):
        axes = figure.add_subplot(len(rows), 1, number)
        _draw_row(axes, row, measured["results"][row.name]["speedup"])
        axes.set_xscale("log")
        axes.set_xlim(*_LIMITS)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16], labels=None)
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}x"))
        axes.tick_params(axis="x", labelsize=7.5, labelbottom=number == len(rows))
    processor = measured["machine"]["processor"]
    figure.supxlabel(f"medians of alternating rounds, lines: range; {processor}", fontsize=7.5)
    target = _ROOT / "docs" / "pictures" / "steps.svg"
    figure.savefig(target, metadata={"Date": None})
    print(f"wrote {target.relative_to(_ROOT)}")


if __name__ == "__main__":
    main()
