"""Compares two outputs of ``kernel_results.cpp``: ``compare_results.py EXPECTED FOUND``. Needs no packages."""

import math
import sys
from pathlib import Path

_TOLERANCES = {"float32": 1e-5, "bfloat16": 0.02, "int8": 1e-5}
"""Relative tolerance, in norm. If sums are rounded to 8 bits, the last bit of float32 may change the rounding."""


def read(path: str) -> dict[str, list[float]]:
    """Reads the arrays by name."""
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    return {name: [float(number) for number in numbers] for name, *numbers in lines}


def main() -> None:
    """Exits with 1 if an array differs."""
    expected, found = read(sys.argv[1]), read(sys.argv[2])
    if not expected or list(expected) != list(found):
        sys.exit("the outputs have different arrays")
    worst = dict.fromkeys(_TOLERANCES, 0.0)
    failed = []
    for name, numbers in expected.items():
        kind = name.partition(".")[0]
        error = math.dist(numbers, found[name]) / (math.hypot(*numbers) + 1e-6)
        worst[kind] = max(worst[kind], error)
        if not error <= _TOLERANCES[kind]:
            failed.append(f"{name}: off by {error:.1e} of its size")
    off = ", ".join(f"{kind} {error:.1e}" for kind, error in worst.items())
    print(f"{len(expected)} arrays; off at most by {off}")  # noqa: T201
    sys.exit("\n".join(failed) or 0)


if __name__ == "__main__":
    main()
