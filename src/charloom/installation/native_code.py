"""Checks of the two native modules: that they can be loaded, and that every instruction set computes correctly.

Native code of another processor or a damaged file can end the process that runs it, without a word. It is therefore
loaded, and verified, in other processes first.
"""

import functools
import importlib
import importlib.util
import json
import signal
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from charloom.errors import CharloomError
from charloom.installation.finding import Finding
from charloom_codec.cells import check_native_cells
from charloom_codec.native_code import VARIABLE

_REINSTALL = "install charloom and charloom-codec again, with the same version and with this Python"
_BUILD = "install a C++ compiler, then install charloom and charloom-codec again"
_KERNELS, _CODEC = "charloom._kernels", "charloom_codec._codec"
_LOAD = """
import sys
from importlib import util
spec = util.spec_from_file_location(*sys.argv[1:])
module = util.module_from_spec(spec)
spec.loader.exec_module(module)
module.supported()
"""
"""Program that loads the module of a name from a file."""
_VERIFY = """
import json
import sys
verify, instruction_sets, blocked, sys.path[:] = json.loads(sys.argv[1])
sys.modules |= dict.fromkeys(blocked)
try:
    from charloom.installation import self_tests
    answer = getattr(self_tests, verify)(instruction_sets)
except Exception as error:
    answer = f"{type(error).__name__}: {error}"
print(json.dumps(answer))
"""
"""Program that verifies instruction sets with a function of ``self_tests``; its last line is the result or an error."""
_EXCEPTION_STATUS = 1
"""Exit status of Python after an exception."""


def check_kernels() -> Finding:
    """Loads the kernels of the recurrence and verifies their results. PyTorch must be installed."""
    return _check_module(_KERNELS, "kernels", "PyTorch's own layers", "verify_kernels")


def check_codec() -> Finding:
    """Loads the native code of the codec and verifies its results. PyTorch must be installed."""
    return _check_module(_CODEC, "codec", "plain Python, which is slow", "verify_codec")


def _check_module(name: str, subject: str, substitute: str, verify: str) -> Finding:
    """Loads a native module and verifies its results.

    Args:
        name: Name of the module.
        subject: Subject of the finding.
        substitute: Description of the code that computes if the module is not installed.
        verify: Function of ``self_tests`` that verifies its results.
    """
    if crash := _block_crashing_modules().get(name):
        return Finding("problem", subject, crash, _REINSTALL)
    try:
        module = importlib.import_module(name)
        check_native_cells(name, getattr(module, "CELLS", {}))
    except ImportError as error:
        return _describe_failed_import(name, subject, substitute, error)
    except CharloomError as error:
        return Finding("problem", subject, str(error))
    try:
        # Kernels have a name; the codec's module returns names.
        results = _run_self_tests(verify, [getattr(one, "name", one) for one in module.supported()])
    except Exception as error:  # a module of another version may fail in any way
        results = f"{type(error).__name__}: {error}"
    if isinstance(results, str):
        return Finding("problem", subject, f"{name} fails ({results})", _REINSTALL)
    wrong = [instruction_set for instruction_set, is_correct in results.items() if not is_correct]
    if wrong:
        text = f"{name} computes wrong results with {', '.join(wrong)}"
        return Finding("problem", subject, text, f"set the environment variable {VARIABLE}=pytorch and report this")
    return Finding("ok", subject, f"correct results with {', '.join(results)}")


def _run_self_tests(verify: str, instruction_sets: list[str]) -> dict[str, bool] | str:
    """Returns the result of a function of ``self_tests``, which another process calls; a description if it fails."""
    # The packages of this process: those of its path, and those that its .pth files redirect.
    arguments = json.dumps([verify, instruction_sets, list(_block_crashing_modules()), sys.path])
    command = [sys.executable, "-I", *(["-S"] if sys.flags.no_site else []), "-c", _VERIFY, arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"a process that computes with it ends with {_describe_end(done.returncode)}"
    results: dict[str, bool] | str = json.loads(done.stdout.splitlines()[-1])
    return results


def _describe_end(status: int) -> str:
    """Returns the name of the signal that ended a process, or its exit status."""
    return signal.Signals(-status).name if -status in [*signal.Signals] else f"exit status {status}"


@functools.cache
def _block_crashing_modules() -> dict[str, str]:
    """Loads each module in a process of its own, and blocks the import of those that crash, as a truncated file does.

    Returns:
        Description of the crash, for each blocked module.
    """
    crashes = {}
    for name in (_KERNELS, _CODEC):
        if name in sys.modules or not (spec := importlib.util.find_spec(name)) or not spec.origin:
            continue
        command = [sys.executable, "-I", "-c", _LOAD, name, spec.origin]
        status = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
        # This process reports an exception itself. Without PyTorch's libraries, there may be one in the other only.
        if status not in (0, _EXCEPTION_STATUS):
            end = _describe_end(status)
            crashes[name] = f"{Path(spec.origin).name} cannot be loaded (a process that loads it ends with {end})"
            # The import now fails in the checks of other parts, which then use the substitute of the module.
            sys.modules[name] = None  # type: ignore[assignment]
    return crashes


def _describe_failed_import(name: str, subject: str, substitute: str, error: ImportError) -> Finding:
    """Returns the finding for a native module that is not installed, or that Python cannot load."""
    package, _, module = name.partition(".")
    folders = map(Path, importlib.import_module(package).__path__)
    files = [file for folder in folders for file in folder.glob(f"{module}.*") if file.suffix in (".so", ".pyd")]
    if not files:
        text = f"{name} is not installed: the computation is done by {substitute}"
        return Finding("warning", subject, text, _BUILD)
    if not any(file.name == module + suffix for file in files for suffix in EXTENSION_SUFFIXES):
        return Finding("problem", subject, f"{files[0].name} was built for another Python or system", _REINSTALL)
    return Finding("problem", subject, f"{files[0].name} cannot be loaded ({error})", _REINSTALL)
