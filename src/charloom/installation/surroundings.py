"""Checks of the environment in which charloom runs: its variables, the cache folder, and threads."""

import math
import os
import re
import tempfile
from pathlib import Path

from charloom.errors import CharloomError, describe_os_error, pluralize
from charloom.installation.finding import Finding
from charloom_codec.native_code import VARIABLE

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
_MAPS = Path("/proc/self/maps")
"""List of the files that are loaded into this process, on Linux."""
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Quota of processor time of the container, on Linux."""


def check_backend() -> Finding:
    """Checks the environment variable that selects the backend."""
    from charloom.recurrence.backend import backend

    try:
        description = backend().describe()
    except CharloomError as error:
        return Finding("problem", "backend", str(error))
    chosen = os.environ.get(VARIABLE, "auto")
    if chosen != "auto":
        return Finding("warning", "backend", f"{VARIABLE}={chosen} selects {description}", f"unset {VARIABLE}")
    return Finding("ok", "backend", description)


def check_cache() -> Finding:
    """Checks that files can be written to the cache folder."""
    from charloom.text.named_corpora import CACHE_VARIABLE, cache_folder

    folder = cache_folder()
    # The folder is created when it is first needed: until then, its first existing parent matters.
    existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Finding("ok", "cache", str(folder))
    except OSError as error:
        text = f"{folder} cannot be written ({describe_os_error(error)})"
        return Finding("problem", "cache", text, f"set {CACHE_VARIABLE} to a folder that can be written")


def check_threads() -> Finding:
    """Checks the number of threads, and that there is one OpenMP library."""
    import torch

    threads, processors = torch.get_num_threads(), num_processors(_read(_QUOTA))
    text = f"{pluralize(threads, 'thread')} on {pluralize(processors, 'processor')}"
    set_variables = [f"{name}={os.environ[name]}" for name in _THREAD_VARIABLES if name in os.environ]
    libraries = find_openmp_libraries(_read(_MAPS))
    if len(libraries) > 1:
        text += f"; several OpenMP libraries are loaded, each with its own threads: {', '.join(libraries)}"
        return Finding("warning", "threads", text, "reinstall charloom, so that it uses PyTorch's")
    if threads > processors:
        return Finding("warning", "threads", f"{text}: they wait for each other", _advise_on_threads(set_variables))
    if set_variables and threads < processors:
        return Finding("warning", "threads", f"{text}: some are not used", _advise_on_threads(set_variables))
    return Finding("ok", "threads", text)


def find_openmp_libraries(maps: str) -> list[str]:
    """Returns the paths of the OpenMP libraries in a list of the files that a process has loaded."""
    return sorted(set(re.findall(r"/\S*/lib(?:g|i)?omp\d*(?:[-.][\w.-]+)?\.so[\w.]*$", maps, re.MULTILINE)))


def num_processors(quota: str) -> int:
    """Returns the number of processors that this process may use.

    Args:
        quota: Quota of the control group: microseconds, or ``max``, and the period. Empty if there is none.
    """
    # Batch systems restrict a process to some processors. macOS and Windows have no such function.
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # A container may get only a share of the time of all processors, which PyTorch does not consider.
    found = re.match(r"(\d+) (\d+)", quota)
    return min(number, math.ceil(int(found[1]) / int(found[2]))) if found else number


def _read(path: Path) -> str:
    """Returns the text of a file of the system; an empty one if it does not exist."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _advise_on_threads(set_variables: list[str]) -> str:
    names = [variable.partition("=")[0] for variable in set_variables]
    return f"unset {' and '.join(names)} ({', '.join(set_variables)})" if names else "pass --threads"
