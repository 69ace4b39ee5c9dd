"""The pages of exercises: every experiment runs, and what a page says is what was measured last."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(_ROOT))

from experiments.__main__ import NAMES, load, run  # noqa: E402
from experiments.page import fill  # noqa: E402

_WRITTEN = [name for name in NAMES if (_ROOT / "docs" / "exercises" / f"{name}.md").exists()]


@pytest.mark.parametrize("name", _WRITTEN[1:])
@pytest.mark.usefixtures("forked_workers")
def test_a_quick_run_fills_in_its_page_and_draws(name: str, tmp_path: Path) -> None:
    run(name, tmp_path, quick=True, redraw=False)
    _assert_written(name, tmp_path)


def test_the_first_as_a_user_runs_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments", _WRITTEN[0], "--quick", "--output", str(tmp_path)]
    subprocess.run(command, cwd=_ROOT, check=True)
    _assert_written(_WRITTEN[0], tmp_path)


def _assert_written(name: str, tmp_path: Path) -> None:
    page = (tmp_path / "docs" / "exercises" / f"{name}.md").read_text()
    assert json.loads((tmp_path / "experiments" / "results" / f"{name}.json").read_text())["seconds"] > 0
    drawn = {file.name for file in (tmp_path / "docs" / "pictures").iterdir()}
    assert drawn == set(re.findall(rf"\(\.\./pictures/({name}-[\w-]+\.svg)\)", page))


@pytest.mark.parametrize("name", _WRITTEN)
def test_a_page_says_what_was_measured(name: str) -> None:
    """Its tables are those of the stored results, and the numbers of its conclusion stand in them."""
    page = (_ROOT / "docs" / "exercises" / f"{name}.md").read_text(encoding="utf-8")
    results = json.loads((_ROOT / "experiments" / "results" / f"{name}.json").read_text(encoding="utf-8"))["results"]
    tables = load(name).tables(results)
    assert fill(page, tables) == page
    conclusion = page.partition("## Conclusion")[2]
    assert conclusion
    measured = set(re.findall(r"\d+(?:\.\d+)?", " ".join(tables.values())))
    # A number with a fraction, or a percentage, is a measurement; others count layers, seeds, exercises.
    quoted = set(re.findall(r"\d+\.\d+(?=\D|$)|\d+(?= ?%)", conclusion))
    assert quoted <= measured, f"in the conclusion, but in no table: {sorted(quoted - measured)}"
