"""HTML for notebooks: tables, shaded text, and the escapes of characters.

The output of a cell is part of a page with a light or a dark theme. Text therefore has the color of the page, and
shades are translucent. Styles are inline: a notebook that is shown elsewhere may lose a style sheet.
"""

import html
import itertools
import math
import numbers
import unicodedata
from collections.abc import Iterable, Sequence

MAX_ROWS = 50
"""Maximum number of rows of a table."""
MAX_CELL = 200
"""Maximum number of characters of a table's cell."""
MAX_CHUNKS = 5_000
"""Maximum number of chunks of shaded text: each takes about 80 bytes of the notebook."""
MAX_CHARS = 20_000
"""Maximum number of characters of shaded text."""
_STRONGEST_BITS = 10.0
"""Bits per character with the strongest shade, as on the page of a model (``export``)."""
_STRONGEST_SHADE = 0.6
"""Opacity of the strongest shade, through which black and white text remain readable."""
_CELL = "padding:0.15em 0.6em;vertical-align:top;white-space:pre-wrap;"


class Markup(str):
    """HTML, which ``as_markup`` does not escape."""

    __slots__ = ()


def as_markup(value: object) -> Markup:
    """Returns a value as HTML: numbers with 4 significant digits, None as an empty text, other values escaped."""
    return value if isinstance(value, Markup) else Markup(html.escape(_replace_invisible(_format(value))))


def shorten(text: str, length: int = MAX_CELL) -> str:
    """Returns a text, or its first characters and a note of its length."""
    return text if len(text) <= length else f"{text[:length]}… ({len(text):,} characters)"


def make_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, total: int | None = None) -> Markup:
    """Returns a table with the first rows, and a note of the others.

    Args:
        headings: Headings of the columns.
        rows: Cells, as for ``as_markup``.
        total: Number of all rows, if ``rows`` are the first of more.
    """
    shown = rows[:MAX_ROWS]
    # Numbers are aligned at the right, so that their digits can be compared; so are all cells of their column.
    has_numbers = [any(isinstance(row[place], numbers.Number) for row in shown) for place in range(len(headings))]
    head = _make_row("th", headings, has_numbers)
    body = "".join(_make_row("td", row, has_numbers) for row in shown)
    table = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
    return Markup(table + _describe_rest(len(shown), total or len(rows), "rows"))


def make_properties(rows: Iterable[tuple[str, object]]) -> Markup:
    """Returns a table of names and values, without headings."""
    body = "".join(f"<tr>{_make_cell('th', name)}{_make_cell('td', value)}</tr>" for name, value in rows)
    return Markup(f"<table><tbody>{body}</tbody></table>")


def make_note(text: str) -> Markup:
    """Returns a paragraph of text."""
    return Markup(f'<p style="margin:0.3em 0">{as_markup(text)}</p>')


def make_shaded(text: str, bits_per_char: float, title: str) -> Markup:
    """Returns text whose background is the stronger, the higher its surprisal.

    Args:
        text: Text; a part of a longer one keeps its line breaks.
        bits_per_char: Mean surprisal in bits; NaN for no shade.
        title: Text that the browser shows for the text under the pointer.
    """
    # min and max would return NaN or not, depending on the order of their arguments.
    share = 0.0 if math.isnan(bits_per_char) else min(max(bits_per_char / _STRONGEST_BITS, 0.0), 1.0)
    style = f"background:rgba(255,120,0,{share * _STRONGEST_SHADE:.2f})"
    return Markup(f'<span style="{style}" title="{as_markup(title)}">{as_markup(text)}</span>')


def make_shaded_text(chunks: Sequence[tuple[str, float, str]]) -> Markup:
    """Returns the first chunks of a text, each with the arguments of ``make_shaded``, and a note of the others."""
    ends = itertools.accumulate(len(text) for text, *_ in chunks[:MAX_CHUNKS])
    # The first chunk is always shown, up to the limit.
    number = max(1, sum(end <= MAX_CHARS for end in ends))
    shown = "".join(make_shaded(shorten(text, MAX_CHARS), bits, title) for text, bits, title in chunks[:number])
    style = "white-space:pre-wrap;overflow-wrap:anywhere;font-family:monospace;max-height:30em;overflow:auto"
    return Markup(f'<div style="{style}">{shown}</div>' + _describe_rest(number, len(chunks), "chunks"))


def make_details(summary: str, content: Markup) -> Markup:
    """Returns content that is shown after a click on its summary."""
    return Markup(f"<details><summary>{as_markup(summary)}</summary>{content}</details>")


def join(*parts: Markup) -> str:
    """Returns the parts in one element."""
    return f"<div>{''.join(parts)}</div>"


def _make_row(element: str, cells: Sequence[object], has_numbers: Sequence[bool]) -> str:
    columns = zip(cells, has_numbers, strict=True)
    return f"<tr>{''.join(_make_cell(element, cell, right=right) for cell, right in columns)}</tr>"


def _make_cell(element: str, value: object, *, right: bool = False) -> str:
    style = f"{_CELL}text-align:{'right' if right else 'left'}"
    return f'<{element} style="{style}">{as_markup(_shorten(value))}</{element}>'


def _shorten(value: object) -> object:
    """Returns the text of a cell cut to the maximum length; another value as it is."""
    # Markup is not cut: that could leave half an element.
    return shorten(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _describe_rest(shown: int, total: int, things: str) -> Markup:
    """Returns a note of a part that is not shown; empty if all is shown."""
    return make_note(f"the first {shown:,} of {total:,} {things}") if total > shown else Markup()


def _format(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):  # as in recipes
        return "true" if value else "false"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real):
        # An exponent is hard to read: 123,457, not 1.235e+05.
        return f"{float(value):,.0f}" if 1e4 <= abs(float(value)) < 1e15 else f"{float(value):.4g}"
    return str(value)


def _replace_invisible(text: str) -> str:
    """Replaces characters that HTML cannot contain: control characters by their pictures, others by U+FFFD."""
    return text if text.isprintable() else "".join(map(_replace_character, text))


def _replace_character(character: str) -> str:
    code = ord(character)
    if code < 0x20 and character not in "\t\n":
        return chr(0x2400 + code)
    # A lone surrogate cannot be encoded, and noncharacters are invalid.
    is_invalid = unicodedata.category(character) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return "\ufffd" if is_invalid and character not in "\t\n" else character
