"""HTML of notebooks, parsed as XML, which accepts no missing end and no invalid character."""

from typing import Any
from xml.etree import ElementTree


def parse(fragment: str) -> ElementTree.Element:
    """Returns the root of a fragment that can be encoded."""
    fragment.encode()
    return ElementTree.fromstring(f"<root>{fragment}</root>")


def text_of(fragment: str) -> str:
    """Returns the text of a fragment, without its elements."""
    return "".join(parse(fragment).itertext())


def cells_of(fragment: str) -> list[list[str]]:
    """Returns the texts of the rows of all tables."""
    return [["".join(cell.itertext()) for cell in row] for row in parse(fragment).iter("tr")]


def show(result: Any) -> str:
    """Returns the HTML that a notebook shows for a result."""
    found: str = result._repr_html_()
    parse(found)
    return found
