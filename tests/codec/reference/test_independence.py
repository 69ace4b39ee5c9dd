"""The reference implementation is independent: a fast path that it used could not be tested against it."""

import subprocess
import sys


def test_the_reference_imports_no_native_code_and_no_torch() -> None:
    code = (
        "import sys, charloom_codec.reference.plain_engine\n"
        "fast = {'charloom_codec._codec', 'charloom_codec.engines.native', 'charloom._kernels', 'torch'}\n"
        "assert not fast & set(sys.modules), fast & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
