"""The pictures of ``docs/exercises/sampling.md``."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.page import COLORS, Results, make_figure

ALPHA = "\N{GREEK SMALL LETTER ALPHA}"
_LABELED = (0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
"""Settings whose points are labeled."""
_TICKS = (0.5, 0.7, 1, 1.5, 2, 3, 5)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _family(results: Results, kind: str, family: str) -> tuple[list[float], list[dict[str, Any]]]:
    """Returns the values of a family of settings, and the measures of each."""
    found = [(float(name.split()[1]), each) for name, each in results[kind].items() if name.startswith(f"{family} ")]
    return [value for value, _ in found], [each for _, each in found]


def _alpha_axis(axes: Axes, alphas: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if min(alphas) <= tick <= max(alphas)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")


def _lines(axes: Axes, alphas: list[float], rows: list[dict[str, Any]], key: str, scale: float, **style: Any) -> None:
    """Draws the mean over seeds, and a band from the minimum to the maximum."""
    axes.plot(alphas, [scale * _mean(row[key]) for row in rows], marker="o", markersize=4, **style)
    low, high = ([scale * pick(row[key]) for row in rows] for pick in (min, max))
    axes.fill_between(alphas, low, high, alpha=0.2, color=style["color"], linewidth=0)


def draw_alpha(results: Results) -> Figure:
    """Draws diversity, repetition and known words by alpha, and perplexity below."""
    drawing = make_figure(height=6.2)
    shares, perplexity = drawing.subplots(2, 1, sharex=True, height_ratios=[1.25, 1])
    alphas, rows = _family(results, "lstm", "alpha")
    for key, color, label in (
        ("known", COLORS[2], "known words"),
        ("distinct", COLORS[0], "distinct pairs of words"),
        ("repeated", COLORS[1], "repeated sequences of 4 words"),
    ):
        _lines(shares, alphas, rows, key, 100, color=color, label=label)
        shares.axhline(100 * results["real"][key], color=color, linestyle=":", linewidth=1.2)
    shares.set_ylabel("share (%)")
    shares.set_ylim(-3, 103)
    for key, color, label in (
        ("own", COLORS[3], "the model itself"),
        ("judge", COLORS[4], "the judge (a different seed)"),
    ):
        _lines(perplexity, alphas, rows, key, 1, color=color, label=f"under {label}")
    perplexity.axhline(_mean(results["real"]["judge"]), color="black", linestyle=":", linewidth=1.2, label="real text")
    perplexity.set_yscale("log")
    perplexity.set_ylabel("perplexity (log scale)")
    perplexity.yaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 32]))
    perplexity.yaxis.set_minor_locator(NullLocator())
    perplexity.yaxis.set_major_formatter("{x:g}")
    perplexity.set_xlabel(f"exponent {ALPHA} (log scale)")
    _alpha_axis(perplexity, alphas)
    for axes in (shares, perplexity):
        axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, columnspacing=1)
    return drawing


def draw_families(results: Results) -> Figure:
    """Draws every sampling setting at its perplexity and diversity, with real text for comparison."""
    drawing = make_figure(height=4.4)
    axes = drawing.subplots()
    for family, color, label, sign, offset in (
        ("alpha", COLORS[0], f"p^{ALPHA}", f"{ALPHA}=", (-7, 3)),
        ("top-k", COLORS[1], "top-k", "k=", (7, -10)),
        ("top-p", COLORS[2], "top-p", "p=", (7, -4)),
    ):
        values, rows = _family(results, "lstm", family)
        across = [_mean(row["judge"]) for row in rows]
        up = [100 * _mean(row["distinct"]) for row in rows]
        axes.plot(across, up, marker="o", markersize=4, color=color, label=label)
        for value, x, y in zip(values, across, up, strict=True):
            if value in _LABELED:
                side = "right" if offset[0] < 0 else "left"
                style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "color": color, "ha": side}
                axes.annotate(f"{sign}{value:g}", (x, y), offset, **style)
    real = results["real"]
    axes.plot(_mean(real["judge"]), 100 * real["distinct"], "*", color="black", markersize=14, label="real text")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([2, 3, 4, 6, 8]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(1.7, 10)
    axes.set_xlabel("perplexity under the judge (log scale)")
    axes.set_ylabel("distinct pairs of words (%)")
    axes.legend(fontsize=10, loc="lower right")
    return drawing


def draw_copied(results: Results) -> Figure:
    """Draws the copied share by alpha for both models."""
    drawing = make_figure()
    axes = drawing.subplots()
    for kind, color, label in (
        ("rnn", COLORS[1], "section's RNN (has memorized 10,000 characters)"),
        ("lstm", COLORS[0], "LSTM (whole novel)"),
    ):
        alphas, rows = _family(results, kind, "alpha")
        _lines(axes, alphas, rows, "copied", 100, color=color, label=label)
    axes.axhline(100 * results["real"]["copied"], color="black", linestyle=":", linewidth=1.2, label="real text")
    _alpha_axis(axes, alphas)
    axes.set_xlabel(f"{ALPHA} (log scale)")
    axes.set_ylabel("copied characters (%)")
    axes.set_ylim(-3, 103)
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, columnspacing=1)
    return drawing
