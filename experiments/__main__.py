"""Runs experiments, fills in their pages: ``python -m experiments [NAME ...] [--quick] [--redraw] [--output FOLDER]``.

The lesson is a notebook, which is executed in place. The other experiments write results to
``experiments/results/NAME.json``, tables to ``docs/exercises/NAME.md`` and pictures to ``docs/pictures``.
"""

import argparse
import importlib
import json
import platform
import sys
import time
from pathlib import Path

import torch

from experiments.page import Experiment, fill_tables, save_figure

ROOT = Path(__file__).parent.parent
LESSON = "lesson"
NAMES = ["from_scratch", "overfitting", "forecasting", "sampling", "depth_and_gates", "compression"]
"""Experiments in the order of the section's exercises."""
_ALL = f"{LESSON}, {', '.join(NAMES)}"


def load(name: str) -> Experiment:
    """Returns the experiment of a page."""
    experiment: Experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
    return experiment


def run(name: str, out: Path, *, quick: bool, redraw: bool) -> None:
    """Runs an experiment (``redraw``: loads stored results) and writes results, page and pictures to ``out``."""
    experiment = load(name)
    stored = ROOT / "experiments" / "results" / f"{name}.json"
    if redraw:
        record = json.loads(stored.read_text(encoding="utf-8"))
    else:
        start = time.perf_counter()
        results = experiment.measure(quick)
        machine = {"processor": _processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        record = {"seconds": round(time.perf_counter() - start, 1), "machine": machine, "results": results}
        _write(out / "experiments" / "results" / f"{name}.json", json.dumps(record, indent=1) + "\n")
    page = (ROOT / "docs" / "exercises" / f"{name}.md").read_text(encoding="utf-8")
    # A round trip through JSON, so that new results have the same types (lists, string keys) as stored ones.
    results = json.loads(json.dumps(record["results"]))
    _write(out / "docs" / "exercises" / f"{name}.md", fill_tables(page, experiment.make_tables(results)))
    for key, drawing in experiment.make_figures(results).items():
        save_figure(drawing, out / "docs" / "pictures" / f"{name}-{key}.svg")
    print(f"{name}: {record['seconds']} s", flush=True)


def _run_lesson(out: Path) -> None:
    # Imported here: nbclient is installed for building the pages only, and the tests of experiments do not need it.
    from experiments.lesson import run_lesson

    run_lesson(ROOT / "docs" / "lesson.ipynb", out / "docs" / "lesson.ipynb")
    print(LESSON, flush=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def main() -> None:
    """Parses the command line and runs the experiments."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description=(__doc__ or "").partition(":")[0] + ".")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"experiments to run; default: {_ALL}")
    parser.add_argument(
        "--quick", action="store_true", help="run the same code on less data, as the tests do; needs --output"
    )
    parser.add_argument(
        "--redraw", action="store_true", help="make page and pictures from stored results, without measuring"
    )
    parser.add_argument("--output", type=Path, default=ROOT, help="folder to write to; default: the repository")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - {LESSON, *NAMES}):
        sys.exit(f"unknown experiment {', '.join(unknown)}; choose from {_ALL}")
    if arguments.quick and arguments.output == ROOT:
        sys.exit("--quick needs --output FOLDER, so that its results do not overwrite those of the pages")
    for name in arguments.names or [LESSON, *NAMES]:
        if name != LESSON:
            run(name, arguments.output, quick=arguments.quick, redraw=arguments.redraw)
        elif not arguments.redraw:
            _run_lesson(arguments.output)


if __name__ == "__main__":
    main()
