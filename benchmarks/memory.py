"""How much does peak memory grow in training, compared with PyTorch eager?

Each contestant runs in its own process. The result is the growth of the peak resident size over a few training steps,
measured after the imports.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alternate import machine, write_result
from rows import ROWS, Row


def measure_growth(row: Row, contestant: str) -> float:
    """Returns the growth of peak memory in MiB, measured in a new process."""
    here = Path(__file__).parent
    code = f"import memory; memory.report({asdict(row)!r}, {contestant!r})"
    variables = dict(os.environ, PYTHONPATH=f"{here}{os.pathsep}{here / 'peers'}", OMP_NUM_THREADS=str(row.threads))
    done = subprocess.run([sys.executable, "-c", code], env=variables, check=True, capture_output=True, text=True)
    growth: float = json.loads(done.stdout)
    return growth


def report(row: dict[str, Any], contestant: str) -> None:
    """Trains five steps in this process and prints the growth."""
    import torch_worker

    minimal = {**row, "hidden": 8, "layers": 1, "batch": 1, "steps": 2, "contestant": contestant}
    torch_worker.make(minimal)()  # so that libraries loaded on first use are not counted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = torch_worker.make({**row, "contestant": contestant})
    for _ in range(5):
        step()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    """Runs the benchmark and writes its results."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    results: dict[str, Any] = {}
    for row in ROWS:
        found = {name: measure_growth(row, name) for name in ("eager", "float32", "bfloat16")}
        results[row.name] = found
        print(f"{row.name}: " + ", ".join(f"{name} {mib:.1f} MiB" for name, mib in found.items()), flush=True)
    write_result("memory", {"question": __doc__, "mebibytes": results, "machine": machine()})


if __name__ == "__main__":
    main()
