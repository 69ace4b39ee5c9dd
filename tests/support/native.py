"""What the native kernels' tests share: the instruction sets to run them on."""

import os

try:
    import torch  # noqa: F401 - first: its OpenMP library is the one that both use

    import charloom._kernels as native

    INSTRUCTION_SETS: list[str] = [kernels.name for kernels in native.supported()]
except ImportError:
    INSTRUCTION_SETS = []
if os.environ.get("CHARLOOM_KERNELS") in ("pytorch", "reference"):  # the suite is run as if there were none
    INSTRUCTION_SETS = []
