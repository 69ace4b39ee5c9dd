"""Figures, and the bytes of their pictures."""

import io
import re
import warnings
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PictureFormat: TypeAlias = Literal["png", "svg", "pdf"]


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
    """Configures the vertical axis for perplexities, on a logarithmic scale."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("perplexity (log scale)")
    axes.grid(visible=True, alpha=0.25)
