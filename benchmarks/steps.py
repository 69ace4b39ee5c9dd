"""How fast is a training step, compared with PyTorch, JAX, Keras on TensorFlow, and MXNet?

The section's step (tokens, layers, logits, cross-entropy, gradients, clipping to 1, SGD, with the state carried over)
at three sizes, and layers alone, forward and backward, before and after ``charloom.accelerate``. Contestants take turns
in one run; each round gives a ratio to PyTorch eager. The floor is the time of the step's arithmetic at the rate of a
large float32 product, measured in the same rounds.
"""

import argparse
import statistics
from dataclasses import asdict
from typing import Any

from alternate import machine, write_result
from peers.workers import Worker
from rows import ROWS, Row, layer_flops

_CONTESTANTS = {
    "pytorch": ("torch", "eager"),
    "pytorch autocast": ("torch", "autocast"),
    "pytorch compile": ("torch", "compile"),
    "charloom float32": ("torch", "float32"),
    "charloom bfloat16": ("torch", "bfloat16"),
    "jax": ("jax", "jax"),
    "keras": ("keras", "keras"),
    "mxnet": ("mxnet", "mxnet"),
}
_LAYERS = {
    "pytorch": ("torch", "layer"),
    "pytorch autocast": ("torch", "layer autocast"),
    "charloom float32": ("torch", "layer accelerated"),
    "charloom bfloat16": ("torch", "layer accelerated bfloat16"),
}


def measure_row(row: Row, contestants: dict[str, tuple[str, str]], rounds: int, flops: float) -> dict[str, Any]:
    """Returns the seconds of each contestant in each round, the floor, and the contestants that failed."""
    workers: dict[str, Worker] = {}
    absent: dict[str, str] = {}
    for name, (peer, _) in contestants.items():
        try:
            workers[peer] = workers.get(peer) or Worker(peer, row.threads)
        except RuntimeError as error:
            absent[name] = str(error)
    # About 0.15 s per measurement, from an assumed rate and a fixed overhead.
    repeats = max(1, int(0.15 / (flops / 5e10 + 3e-4)))
    seconds: dict[str, list[float]] = {name: [] for name in contestants if name not in absent}
    floors: list[float] = []
    try:
        for _ in range(rounds):
            rate = workers["torch"].measure({**asdict(row), "contestant": "rate", "repeats": 2})["seconds"]
            floors.append(flops / (2 * 2048**3 / rate))
            for name in list(seconds):
                peer, contestant = contestants[name]
                answer = workers[peer].measure({**asdict(row), "contestant": contestant, "repeats": repeats})
                if "refused" in answer:
                    absent[name] = answer["refused"]
                    del seconds[name]
                else:
                    seconds[name].append(answer["seconds"])
    finally:
        for worker in workers.values():
            worker.close()
    ratios = {}
    for name, times in seconds.items():
        by_round = sorted(a / b for a, b in zip(seconds["pytorch"], times, strict=True))
        ratios[name] = {"median": statistics.median(by_round), "min": by_round[0], "max": by_round[-1]}
    floor = statistics.median(floors)
    return {"row": asdict(row), "seconds": seconds, "floor_seconds": floor, "speedup": ratios, "absent": absent}


def print_row(title: str, result: dict[str, Any]) -> None:
    """Prints the results of a row."""
    floor = result["floor_seconds"]
    print(f"{title}: floor {floor * 1e3:.2f} ms")
    for name, times in result["seconds"].items():
        ratio, median = result["speedup"][name], statistics.median(times)
        print(
            f"  {name:18s} {median * 1e3:9.3f} ms   {ratio['median']:5.2f} x PyTorch "
            f"({ratio['min']:.2f} to {ratio['max']:.2f})   {floor / median:4.0%} of the floor"
        )
    for name, reason in result["absent"].items():
        print(f"  {name:18s} absent: {reason}")


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--rows", nargs="*", default=[], help=f"rows to measure, from: {', '.join(row.name for row in ROWS)}"
    )
    parser.add_argument(
        "--contestants",
        nargs="*",
        default=list(_CONTESTANTS),
        help="contestants to measure; pytorch is always included",
    )
    options = parser.parse_args()
    chosen = {name: c for name, c in _CONTESTANTS.items() if name in ["pytorch", *options.contestants]}
    results: dict[str, Any] = {}
    for row in ROWS:
        if options.rows and row.name not in options.rows:
            continue
        results[row.name] = measure_row(row, chosen, options.rounds, row.flops)
        print_row(row.name, results[row.name])
        if row.hidden != 128:
            layers = {name: c for name, c in _LAYERS.items() if name in chosen}
            results[f"{row.name} layers alone"] = measure_row(row, layers, options.rounds, layer_flops(row))
            print_row(f"{row.name} layers alone", results[f"{row.name} layers alone"])
    write_result("steps", {"question": __doc__, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
