"""Figures as files of the requested format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.io.plots import (
    PictureFormat,
    choose_log_ticks,
    new_figure,
    render_figure,
    render_inline,
    set_perplexity_axis,
)
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


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (2.5, 60, [5, 10, 20, 50]),
        (1, 10, [1, 2, 5, 10]),
        (2.1, 4.9, [2.5, 3, 3.5, 4, 4.5]),
        (3.1201, 3.1212, [3.1202, 3.1204, 3.1206, 3.1208, 3.121, 3.1212]),
        (1.5, 1500, [10, 100, 1000]),
        (1, 1e6, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]),
        (1e-10, 1e9, [1e-10, 1e-7, 1e-4, 0.1, 100, 1e5, 1e8]),
    ],
)
def test_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert choose_log_ticks(low, high) == pytest.approx(ticks)


@given(st.floats(1e-6, 1e6), st.floats(1.0001, 1e9))
def test_any_range_has_a_few_ticks(low: float, ratio: float) -> None:
    ticks = choose_log_ticks(low, low * ratio)
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= low * ratio for tick in ticks)
    assert ticks == sorted({*ticks})


@pytest.mark.parametrize(
    ("values", "labels"),
    [([1, 1e6], ["1", "10", "100", "1,000", "10,000", "100,000", "1,000,000"]), ([3.1202, 3.1204], ["3.1203"])],
)
def test_labels_of_a_perplexity_axis_have_no_exponent(values: list[float], labels: list[str]) -> None:
    figure = new_figure(6, 3.2)
    axes = figure.subplots()
    axes.plot([1, 2], values)
    set_perplexity_axis(axes)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert {*labels} <= {*shown}
    assert len(shown) <= 8
    assert all(f">{label}<" in render_inline(figure) for label in shown)
