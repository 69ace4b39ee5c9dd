"""How much memory does training take at its peak, beside PyTorch eager?

One process for each contestant: the growth of the peak resident size over a few training steps, from after the imports.
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


def grow(row: Row, contestant: str) -> float:
    """MiB, in a process of its own."""
    here = Path(__file__).parent
    code = f"import memory; memory.report({asdict(row)!r}, {contestant!r})"
    variables = dict(os.environ, PYTHONPATH=f"{here}{os.pathsep}{here / 'peers'}", OMP_NUM_THREADS=str(row.threads))
    done = subprocess.run([sys.executable, "-c", code], env=variables, check=True, capture_output=True, text=True)
    growth: float = json.loads(done.stdout)
    return growth


def report(row: dict[str, Any], contestant: str) -> None:
    """In the process: trains five steps and prints the growth."""
    import torch_worker

    smallest = {**row, "hidden": 8, "layers": 1, "batch": 1, "steps": 2, "contestant": contestant}
    torch_worker.make(smallest)()  # what is loaded on first use is not the step's
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = torch_worker.make({**row, "contestant": contestant})
    for _ in range(5):
        step()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    """Runs the benchmark."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    results: dict[str, Any] = {}
    for row in ROWS:
        found = {name: grow(row, name) for name in ("eager", "float32", "bfloat16")}
        results[row.name] = found
        print(f"{row.name}: " + ", ".join(f"{name} {mib:.1f} MiB" for name, mib in found.items()), flush=True)
    write_result("memory", {"question": __doc__, "mebibytes": results, "machine": machine()})


if __name__ == "__main__":
    main()
