"""The pictures of ``docs/exercises/compression.md``."""

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from experiments.page import COLORS, Results, make_figure

_LENGTHS = [10 ** (4.5 + step / 20) for step in range(91)]
"""Lengths of texts on the axis, in bytes."""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def draw_sizes(results: Results) -> Figure:
    """Draws bits per byte by compressor: after the first part of the novel, and alone."""
    drawing = make_figure(height=4.4)
    axes = drawing.subplots()
    network = results["networks"][max(results["networks"], key=int)]
    rate = 8 / results["rest"]
    rows = [(name, rate * _mean(network[name]), 0.0) for name in ("charloom", "charloom --fast")]
    rows += [(name, rate * found["after"], rate * found["alone"]) for name, found in results["peers"].items()]
    rows.sort(key=lambda row: -row[1])
    names = [name for name, *_ in rows]
    colors = [COLORS[0] if name.startswith("charloom") else COLORS[5] for name in names]
    axes.barh(names, [alone for *_, alone in rows], color=COLORS[5], alpha=0.25, label="alone")
    bars = axes.barh(names, [after for _, after, _ in rows], color=colors, height=0.55)
    bars.set_label("after the first 90% of the novel")
    axes.bar_label(bars, [f"{after:.3f}" for _, after, _ in rows], padding=-42, fontsize=10, color="white")
    axes.set_xlabel("bits per byte of the last 10%")
    axes.grid(visible=False, axis="y")
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)
    return drawing


def draw_break_even(results: Results) -> Figure:
    """Draws bits per byte, including the model, by length of the text."""
    drawing = make_figure(height=4.4)
    axes = drawing.subplots()
    rate = 8 / results["rest"]
    for name, color in (("xz -9e", COLORS[5]), ("7z PPMd", COLORS[1]), ("zpaq -m5", COLORS[4])):
        if name in results["peers"]:
            level = rate * results["peers"][name]["after"]
            axes.axhline(level, color=color, linewidth=1.4, linestyle="--")
            axes.annotate(name, (_LENGTHS[0] * 1.1, level), (0, 3), textcoords="offset points", fontsize=9, color=color)
    for (units, found), color in zip(results["networks"].items(), (COLORS[2], COLORS[3], COLORS[0]), strict=False):
        ours, model = rate * _mean(found["charloom"]), 8 * _mean(found["model"])
        bits = [ours + model / length for length in _LENGTHS]
        axes.plot(_LENGTHS, bits, color=color, label=f"charloom, {units} units, including the model")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(unit="B"))
    axes.set_ylim(1.7, 4)
    axes.set_xlim(_LENGTHS[0], _LENGTHS[-1])
    axes.set_xlabel("length of the text (bytes, log scale)")
    axes.set_ylabel("bits per byte, including the model")
    axes.legend(fontsize=9, loc="upper right")
    return drawing
