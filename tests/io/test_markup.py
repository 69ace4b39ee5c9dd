"""HTML of any text and number: well-formed, complete or with a note, readable on light and dark pages."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.io import markup
from html_fragments import cells_of, parse, text_of

_ANY_TEXT = st.text(st.characters())  # surrogates included
_CELLS = st.one_of(_ANY_TEXT, st.none(), st.booleans(), st.integers(), st.floats())


@given(text=st.text(st.characters(exclude_categories=["C"], include_characters="\t\n")))
def test_printable_text_is_escaped_and_unchanged(text: str) -> None:
    assert text_of(markup.as_markup(text)) == text


@given(text=_ANY_TEXT)
def test_any_text_is_valid(text: str) -> None:
    """Also as the value of an attribute; each character stays one."""
    assert len(text_of(markup.as_markup(text))) == len(text)
    (span,) = parse(markup.make_shaded(text, 1.0, text))
    assert span.attrib.keys() == {"style", "title"}
    assert not list(span)


@given(rows=st.lists(st.lists(_CELLS, min_size=2, max_size=2), max_size=3), heading=_ANY_TEXT)
def test_a_table_has_a_cell_for_each_value(rows: list[list[object]], heading: str) -> None:
    found = cells_of(markup.make_table([heading, "b"], rows))
    assert [len(row) for row in found] == [2] * (len(rows) + 1)
    assert len(cells_of(markup.make_properties([(heading, value) for row in rows for value in row]))) == 2 * len(rows)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (12345, "12,345"),
        (np.int64(1234), "1,234"),
        (2.0, "2"),
        (1 / 3, "0.3333"),
        (-123456.7, "-123,457"),
        (1e300, "1e+300"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ("<b>&'\"", "<b>&'\""),
        ("\0\x1b\r\x85\ud800\ufffe", "␀␛␍���"),
        (markup.Markup("<b>x</b>"), "x"),
    ],
)
def test_values(value: object, shown: str) -> None:
    assert text_of(markup.as_markup(value)) == shown


def test_columns_with_numbers_are_aligned_at_the_right() -> None:
    table = markup.make_table(["a", "b"], [["x", "inf"], ["y", 1.5]])
    sides = [cell.attrib["style"].rpartition(":")[2] for row in parse(table).iter("tr") for cell in row]
    assert sides == ["left", "right"] * 3


def test_long_tables_and_texts_have_a_note() -> None:
    table = markup.make_table(["a"], [[number] for number in range(1234)])
    assert len(cells_of(table)) == markup.MAX_ROWS + 1
    assert text_of(table).endswith("the first 50 of 1,234 rows")
    assert text_of(markup.make_table(["a"], [["x" * 1000]])).endswith(f"{'x' * 200}… (1,000 characters)")
    chunks: Any = [("a", 1.0, "")] * (markup.MAX_CHUNKS + 1)
    assert text_of(markup.make_shaded_text(chunks)).endswith("athe first 5,000 of 5,001 chunks")
    long = markup.make_shaded_text([("a" * 30_000, 1.0, ""), ("b", 1.0, "")])
    assert text_of(long).endswith("a… (30,000 characters)the first 1 of 2 chunks")
    assert text_of(markup.make_shaded_text([("a", 1.0, "")])) == "a"


@pytest.mark.parametrize(
    ("bits", "opacity"), [(0.0, 0.0), (5.0, 0.3), (10.0, 0.6), (math.inf, 0.6), (-1.0, 0.0), (math.nan, 0.0)]
)
def test_shades_are_translucent_and_text_has_the_color_of_the_page(bits: float, opacity: float) -> None:
    (span,) = parse(markup.make_shaded("a", bits, "title"))
    assert span.attrib["style"] == f"background:rgba(255,120,0,{opacity:.2f})"


def test_details_are_behind_a_summary() -> None:
    details = parse(markup.make_details("<more>", markup.make_note("x"))).find("details")
    assert details is not None
    assert [(part.tag, part.text) for part in details] == [("summary", "<more>"), ("p", "x")]
