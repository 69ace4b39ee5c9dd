"""Measurement shared by all benchmarks: contestants take turns, ratios are computed by round, results are JSON."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

_RESULTS = Path(__file__).parent / "results"


def alternate(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each contestant in each round, after one uncounted warm-up round.

    Contestants take turns, so that a change of the machine's load affects all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def report(name: str, question: str, seconds: dict[str, list[float]], peer: str, **details: Any) -> None:
    """Prints each contestant's time divided by the peer's, and writes all results to ``results/NAME.json``."""
    print(question)
    ratios = {}
    for contestant, times in seconds.items():
        by_round = sorted(a / b for a, b in zip(times, seconds[peer], strict=True))
        ratios[contestant] = {"median": statistics.median(by_round), "min": by_round[0], "max": by_round[-1]}
        print(
            f"  {contestant:28s} {statistics.median(times):9.3f} s   "
            f"x {ratios[contestant]['median']:.3f} of {peer} ({by_round[0]:.3f} to {by_round[-1]:.3f})"
        )
    result = {
        "question": question,
        "seconds": seconds,
        f"ratio_to_{peer}": ratios,
        "machine": machine(),
        **details,
    }
    write_result(name, result)


def machine() -> dict[str, Any]:
    """Returns the processor, the number of threads and the versions of a benchmark run."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_result(name: str, result: dict[str, Any]) -> None:
    """Writes a benchmark's results to ``results/NAME.json``."""
    _RESULTS.mkdir(exist_ok=True)
    file = _RESULTS / f"{name}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
