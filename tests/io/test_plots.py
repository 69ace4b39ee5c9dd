"""Figures as files of the requested format."""

import pytest

from charloom.io.plots import PictureFormat, new_figure, render_figure, render_inline, set_perplexity_axis
from html_fragments import parse


@pytest.mark.parametrize(("format", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_the_format_is_as_requested(format: PictureFormat, magic: bytes) -> None:  # noqa: A002
    """A title in letters that the font lacks is not an error."""
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([1, 2], [3, 40])
    axes.set_title("日本語")
    set_perplexity_axis(axes)
    assert axes.get_yscale() == "log"
    assert render_figure(figure, format).startswith(magic)


def test_an_inline_figure_has_the_colors_of_the_page() -> None:
    """It is one element without styles for the rest of the page, a background or the time."""
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([1, 2], [3, 40])
    axes.set_title("<a> & b")
    svg = render_inline(figure)
    root = parse(svg)
    assert [element.tag for element in root] == ["{http://www.w3.org/2000/svg}svg"]
    assert root[0].attrib["fill"] == "currentColor"
    assert "<a> & b" in "".join(root.itertext())
    for absent in ("#000000", "#ffffff", "<style", "<metadata", "<?xml"):
        assert absent not in svg
    assert "stroke: currentColor" in svg
