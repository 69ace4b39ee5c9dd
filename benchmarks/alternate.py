"""Contestants in turn, ratios round by round, JSON out: the method that every benchmark here shares."""

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
    """Seconds of each contestant in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(rounds + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if round_number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def report(name: str, question: str, seconds: dict[str, list[float]], peer: str, **details: Any) -> None:
    """Prints each contestant's time over the peer's, and writes everything to ``results/NAME.json``."""
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
    """What ran a benchmark."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def write_result(name: str, result: dict[str, Any]) -> None:
    """To ``results/NAME.json``."""
    _RESULTS.mkdir(exist_ok=True)
    file = _RESULTS / f"{name}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
