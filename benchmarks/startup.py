"""How long does ``charloom --help`` take, compared with importing torch? Measured as whole processes."""

import argparse
import functools
import subprocess
import sys
from pathlib import Path

from alternate import alternate, report


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    commands = {
        "charloom_help": [str(Path(sys.executable).with_name("charloom")), "--help"],
        "import_torch": [sys.executable, "-c", "import torch"],
    }
    contestants = {
        name: functools.partial(subprocess.run, command, check=True, capture_output=True)
        for name, command in commands.items()
    }
    seconds = alternate(contestants, options.rounds)
    report("startup", "How long does charloom --help take, compared with importing torch?", seconds, "import_torch")


if __name__ == "__main__":
    main()
