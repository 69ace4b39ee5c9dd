"""Figures as files of the requested format."""

import pytest

from charloom.io.plots import PictureFormat, new_figure, render_figure, set_perplexity_axis


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
