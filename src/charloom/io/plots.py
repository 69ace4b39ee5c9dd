"""Figures, and the bytes of their pictures."""

import io
import math
import re
import warnings
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PictureFormat: TypeAlias = Literal["png", "svg", "pdf"]
_MAX_TICKS = 8
_MIN_TICKS = 3
_MAX_INTERVALS = 6
"""Maximum number of intervals between equally spaced ticks, whose labels are crowded at the upper end of the axis."""


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty figure; ``width`` and ``height`` are in inches."""
    # Without pyplot: no window system, no global state, half the time to import.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def render_figure(figure: "Figure", format: PictureFormat = "png") -> bytes:  # noqa: A002
    """Returns the content of an image file of the figure in the given format."""
    from matplotlib import rc_context

    picture = io.BytesIO()
    # fonttype none: an SVG contains its text, not the outlines of the letters.
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the font draws a box for a character that it lacks
        figure.savefig(picture, format=format, dpi=130)
    return picture.getvalue()


def render_inline(figure: "Figure") -> str:
    """Returns the figure as an SVG element for a page, without a background, with text and axes in the page's color."""
    # Text in the default color of matplotlib, black, has no fill of its own and inherits that of the root.
    for background in (figure.patch, *(axes.patch for axes in figure.axes)):
        background.set_visible(False)
    svg = render_figure(figure, "svg").decode()
    # The declarations before the root are not allowed within a page; the metadata contain the time.
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg[svg.index("<svg ") :], flags=re.DOTALL)
    # matplotlib's style sheet is that of all elements of the page: the root's style replaces it.
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    style = "max-width:100%;height:auto;stroke-linejoin:round;stroke-linecap:butt"
    svg = svg.replace("<svg ", f'<svg fill="currentColor" style="{style}" ', 1)
    return svg.replace("stroke: #000000", "stroke: currentColor")


def set_perplexity_axis(axes: "Axes") -> None:
    """Configures the vertical axis for perplexities, on a logarithmic scale; call it after the values are drawn."""
    from matplotlib.ticker import NullLocator, StrMethodFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_yticks(choose_log_ticks(low, high))
    axes.set_ylim(low, high)  # fixed: the ticks are those of this range
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.12g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("perplexity (log scale)")
    axes.grid(visible=True, alpha=0.25)


def choose_log_ticks(low: float, high: float) -> list[float]:
    """Returns at most 8 round values within a range of a logarithmic axis.

    They are 1, 2, 5, 10, 20, 50 ...; for a wide range, powers of ten; for a narrow one, equally spaced values.

    Args:
        low: Start of the range, above 0.
        high: End of the range.
    """
    from matplotlib.ticker import MaxNLocator

    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if len(ticks) < _MIN_TICKS:
        spaced = MaxNLocator(_MAX_INTERVALS, steps=[1, 2, 5, 10]).tick_values(low, high)
        return [float(tick) for tick in spaced if low <= tick <= high]
    if len(ticks) > _MAX_TICKS:
        powers = [tick for exponent in exponents if low <= (tick := float(f"1e{exponent}")) <= high]
        return powers[:: math.ceil(len(powers) / _MAX_TICKS)]
    return ticks
