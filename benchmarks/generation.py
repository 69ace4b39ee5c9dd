"""How many characters per second does a model generate, one text at a time, on one core?

Temperature 1, batch size 1, compared with a compiled loop in JAX and a loop over PyTorch's layers. Contestants take
turns in one run on one processor; each round gives a ratio to JAX.
"""

import argparse
import statistics
from dataclasses import asdict, replace
from typing import Any

from alternate import machine, write_result
from peers.workers import Worker
from rows import Row

_ROWS = [
    Row("rnn", 256, layers=1, batch=1, steps=2000, threads=1),
    Row("lstm", 256, layers=1, batch=1, steps=1000, threads=1),
    Row("lstm", 512, layers=1, batch=1, steps=1000, threads=1),
]
_CONTESTANTS = {
    "jax": ("jax", "generate"),
    "pytorch": ("torch", "generate pytorch"),
    "charloom float32": ("torch", "generate float32"),
    "charloom int8": ("torch", "generate int8"),
}


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for row in _ROWS:
        workers = {peer: Worker(peer, 1) for peer in ("torch", "jax")}
        speeds: dict[str, list[float]] = {name: [] for name in _CONTESTANTS}
        for _ in range(options.rounds):
            for name, (peer, contestant) in _CONTESTANTS.items():
                # PyTorch's loop takes ten times as long or more; fewer steps keep rounds short.
                steps = row.steps // 10 if contestant == "generate pytorch" else row.steps
                request = {**asdict(replace(row, steps=steps)), "contestant": contestant, "repeats": 3}
                speeds[name].append(steps / workers[peer].measure(request)["seconds"])
        for worker in workers.values():
            worker.close()
        results[row.name] = {"characters_per_second": speeds, "speedup_over_jax": {}}
        print(row.name)
        for name, values in speeds.items():
            by_round = sorted(a / b for a, b in zip(values, speeds["jax"], strict=True))
            ratio = {"median": statistics.median(by_round), "min": by_round[0], "max": by_round[-1]}
            results[row.name]["speedup_over_jax"][name] = ratio
            print(
                f"  {name:18s} {statistics.median(values) / 1e3:8.1f} k characters per second   "
                f"{ratio['median']:5.2f} x JAX ({ratio['min']:.2f} to {ratio['max']:.2f})"
            )
    write_result("generation", {"question": __doc__, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
