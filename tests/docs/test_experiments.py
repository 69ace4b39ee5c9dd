"""The pages of exercises: every experiment runs, and each page contains the stored results."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(_ROOT))

from experiments.__main__ import NAMES, load, run  # noqa: E402
from experiments.page import fill_tables  # noqa: E402

_PAGES = [name for name in NAMES if (_ROOT / "docs" / "exercises" / f"{name}.md").exists()]


@pytest.mark.parametrize("name", _PAGES[1:])
@pytest.mark.usefixtures("forked_workers")
def test_quick_run_fills_in_page_and_draws_pictures(name: str, tmp_path: Path) -> None:
    run(name, tmp_path, quick=True, redraw=False)
    _assert_output(name, tmp_path)


def test_command_runs_experiment(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments", _PAGES[0], "--quick", "--output", str(tmp_path)]
    subprocess.run(command, cwd=_ROOT, check=True)
    _assert_output(_PAGES[0], tmp_path)


def _assert_output(name: str, tmp_path: Path) -> None:
    page = (tmp_path / "docs" / "exercises" / f"{name}.md").read_text()
    assert json.loads((tmp_path / "experiments" / "results" / f"{name}.json").read_text())["seconds"] > 0
    drawn = {file.name for file in (tmp_path / "docs" / "pictures").iterdir()}
    assert drawn == set(re.findall(rf"\(\.\./pictures/({name}-[\w-]+\.svg)\)", page))


@pytest.mark.parametrize("name", _PAGES)
def test_page_contains_stored_results(name: str) -> None:
    """The tables are those of the stored results, and the numbers of the conclusion occur in them."""
    page = (_ROOT / "docs" / "exercises" / f"{name}.md").read_text(encoding="utf-8")
    results = json.loads((_ROOT / "experiments" / "results" / f"{name}.json").read_text(encoding="utf-8"))["results"]
    tables = load(name).make_tables(results)
    assert fill_tables(page, tables) == page
    conclusion = page.partition("## Conclusion")[2]
    assert conclusion
    measured = set(re.findall(r"\d+(?:\.\d+)?", " ".join(tables.values())))
    # Decimal numbers and percentages are measurements; integers count layers, seeds, exercises.
    quoted = set(re.findall(r"\d+\.\d+(?=\D|$)|\d+(?= ?%)", conclusion))
    assert quoted <= measured, f"in the conclusion but in no table: {sorted(quoted - measured)}"
