"""What the native kernels' tests share: the instruction sets to run them on."""

try:
    import torch  # noqa: F401 - first: its OpenMP library is the one that both use

    import charloom._kernels as native

    INSTRUCTION_SETS: list[str] = [kernels.name for kernels in native.supported()]
except ImportError:
    INSTRUCTION_SETS = []
