"""The pictures of ``docs/exercises/compression.md``."""

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from experiments.page import COLOURS, Results, figure

_LENGTHS = [10 ** (4.5 + step / 20) for step in range(91)]
"""Of texts, in bytes."""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def draw_sizes(results: Results) -> Figure:
    """Bars of bits a byte: after the first part of the book, and alone."""
    drawing = figure(height=4.4)
    axes = drawing.subplots()
    network = results["networks"][max(results["networks"], key=int)]
    rate = 8 / results["rest"]
    rows = [(name, rate * _mean(network[name]), 0.0) for name in ("charloom", "charloom --fast")]
    rows += [(name, rate * found["after"], rate * found["alone"]) for name, found in results["peers"].items()]
    rows.sort(key=lambda row: -row[1])
    names = [name for name, *_ in rows]
    colours = [COLOURS[0] if name.startswith("charloom") else COLOURS[5] for name in names]
    axes.barh(names, [alone for *_, alone in rows], color=COLOURS[5], alpha=0.25, label="alone")
    bars = axes.barh(names, [after for _, after, _ in rows], color=colours, height=0.55)
    bars.set_label("after the first 90 % of the book")
    axes.bar_label(bars, [f"{after:.3f}" for _, after, _ in rows], padding=-42, fontsize=10, color="white")
    axes.set_xlabel("bits for each byte of the last 10 %")
    axes.grid(visible=False, axis="y")
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)
    return drawing


def draw_break_even(results: Results) -> Figure:
    """Bits a byte over the length of the text, the model counted."""
    drawing = figure(height=4.4)
    axes = drawing.subplots()
    rate = 8 / results["rest"]
    for name, colour in (("xz -9e", COLOURS[5]), ("7z PPMd", COLOURS[1]), ("zpaq -m5", COLOURS[4])):
        if name in results["peers"]:
            level = rate * results["peers"][name]["after"]
            axes.axhline(level, color=colour, linewidth=1.4, linestyle="--")
            place = (_LENGTHS[0] * 1.1, level)
            axes.annotate(name, place, (0, 3), textcoords="offset points", fontsize=9, color=colour)
    for (units, found), colour in zip(results["networks"].items(), (COLOURS[2], COLOURS[3], COLOURS[0]), strict=False):
        ours, model = rate * _mean(found["charloom"]), 8 * _mean(found["model"])
        bits = [ours + model / length for length in _LENGTHS]
        axes.plot(_LENGTHS, bits, color=colour, label=f"charloom, {units} units, and its model")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(unit="B"))
    axes.set_ylim(1.7, 4)
    axes.set_xlim(_LENGTHS[0], _LENGTHS[-1])
    axes.set_xlabel("length of the text (bytes, log scale)")
    axes.set_ylabel("bits for each byte, model counted")
    axes.legend(fontsize=9, loc="upper right")
    return drawing
