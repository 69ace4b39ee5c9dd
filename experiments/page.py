"""What the experiments share: what one is, how its page is filled in, and how its figures look.

A page is plain Markdown. A table that an experiment makes stands between two comments that no reader sees::

    <!-- table: name -->
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
"""What was measured: whatever JSON holds."""

COLOURS = ("#0b4f8a", "#e07b39", "#3a9d6e", "#8a4fa3", "#b5434b", "#7a7a7a")
"""Told apart by those who see few colours too; ``figure`` cycles through them."""


@dataclass(frozen=True)
class Experiment:
    """One page's measurements.

    Attributes:
        measure: ``quick`` is for tests: the same code on less (one seed, an epoch or two), within about 10 seconds.
        tables: Markdown tables by the names that the page gives them.
        figures: Pictures by name; saved as ``docs/pictures/<experiment>-<name>.svg``.
    """

    measure: Callable[[bool], Results]
    tables: Callable[[Results], Mapping[str, str]]
    figures: Callable[[Results], Mapping[str, Figure]]


def corpus(name: str, quick: bool, **options: Any) -> Corpus:
    """A named corpus; where it cannot be had, a quick run takes the text that Python carries."""
    try:
        return load_corpus(name, **options)
    except CorpusUnavailableError:
        if not quick:
            raise
        return load_corpus("python-reference", **options)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers and stand to the right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def fill(page: str, tables: Mapping[str, str]) -> str:
    """The page with its tables. Raises ValueError where page and experiment do not name the same tables."""
    places = re.findall(r"<!-- table: (.+?) -->", page)
    if sorted(places) != sorted(tables):
        raise ValueError(f"the page has places for the tables {sorted(places)}, the experiment makes {sorted(tables)}")
    for name, text in tables.items():
        begin = f"<!-- table: {name} -->"
        before, after = page.split(begin)
        page = f"{before}{begin}\n\n{text}\n\n<!-- end of table -->{after.partition('<!-- end of table -->')[2]}"
    return page


def figure(width: float = 6.4, height: float = 3.6) -> Figure:
    """An empty figure, sizes in inches, wide enough for a screen, with letters large enough for a telephone."""
    rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "charloom",  # the same picture from the same numbers
            "font.family": "sans-serif",
            "font.size": 11,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
        }
    )
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(drawing: Figure, path: Path) -> None:
    """As SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, metadata={"Date": None})
