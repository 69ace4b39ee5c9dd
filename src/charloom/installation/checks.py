"""All checks of an installation, in order."""

from collections.abc import Iterator

from charloom.installation.finding import Finding
from charloom.installation.native_code import check_codec, check_kernels
from charloom.installation.packages import check_extras, check_requirements, check_torch, check_versions
from charloom.installation.surroundings import check_backend, check_cache, check_threads


def check_installation() -> Iterator[Finding]:
    """Yields the findings of all checks, each as soon as it is known.

    The last checks need PyTorch, and are omitted if it does not work.
    """
    for check in (check_versions, check_requirements, check_extras):
        yield check()
    torch = check_torch()
    yield torch
    if torch.status == "problem":
        return
    for check in (check_kernels, check_codec, check_backend, check_threads, check_cache):
        yield check()
