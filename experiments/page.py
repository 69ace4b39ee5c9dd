"""The parts that experiments share: their interface, filling in tables of pages, and the style of figures.

A page is plain Markdown. The table NAME of an experiment is enclosed in two comments, which are not displayed::

    <!-- table: NAME -->
    <!-- end of table -->
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib import rcParams
from matplotlib.figure import Figure

from charloom import Corpus, CorpusUnavailableError, load_corpus

Results: TypeAlias = dict[str, Any]
"""Measurements, as values that JSON can represent."""

COLORS = ("#0b4f8a", "#e07b39", "#3a9d6e", "#8a4fa3", "#b5434b", "#7a7a7a")
"""Color cycle of ``make_figure``; distinguishable with color vision deficiencies."""


@dataclass(frozen=True)
class Experiment:
    """The measurements, tables and figures of one page.

    Attributes:
        measure: Function that takes the measurements. Called with True by the tests, it runs the same code on less data
            (one seed, an epoch or two) in about 10 seconds.
        make_tables: Function that returns Markdown tables by their names in the page.
        make_figures: Function that returns figures by name; saved as ``docs/pictures/<experiment>-<name>.svg``.
    """

    measure: Callable[[bool], Results]
    make_tables: Callable[[Results], Mapping[str, str]]
    make_figures: Callable[[Results], Mapping[str, Figure]]


def load_text(name: str, quick: bool, **options: Any) -> Corpus:
    """Returns a named corpus. If it is unavailable, a quick run uses a text of the Python installation instead."""
    try:
        return load_corpus(name, **options)
    except CorpusUnavailableError:
        if not quick:
            raise
        return load_corpus("python-reference", **options)


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a Markdown table whose first column is left-aligned text and whose other columns are right-aligned."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def fill_tables(page: str, tables: Mapping[str, str]) -> str:
    """Returns the page with its tables replaced. Raises ValueError if page and experiment name different tables."""
    names = re.findall(r"<!-- table: (.+?) -->", page)
    if sorted(names) != sorted(tables):
        raise ValueError(f"the page has the tables {sorted(names)}, the experiment makes {sorted(tables)}")
    for name, text in tables.items():
        start = f"<!-- table: {name} -->"
        before, after = page.split(start)
        page = f"{before}{start}\n\n{text}\n\n<!-- end of table -->{after.partition('<!-- end of table -->')[2]}"
    return page


def make_figure(width: float = 6.4, height: float = 3.6) -> Figure:
    """Returns an empty figure, its size in inches, readable on a desktop screen and on a phone."""
    rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "charloom",  # without it, element ids are random and the file changes on every run
            "font.family": "sans-serif",
            "font.size": 11,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": f"cycler('color', {list(COLORS)})",
        }
    )
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save_figure(drawing: Figure, path: Path) -> None:
    """Saves a figure as SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A date would change the file on every run.
    drawing.savefig(path, metadata={"Date": None})
