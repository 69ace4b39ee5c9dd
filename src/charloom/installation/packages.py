"""Checks of the installed packages: their versions, the build of PyTorch, and the extras."""

import re
import warnings
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

from charloom.installation.finding import Finding
from charloom_codec.version import __version__

_DISTRIBUTIONS = ("charloom", "charloom-codec")
_TORCH_TESTED = (2, 13)
"""Major and minor version of PyTorch with which the tests run (``constraints.txt``)."""
_OWN_CHECK = ("torch", *_DISTRIBUTIONS)
"""Requirements that are not among those of ``check_requirements``."""
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?>=([\d.]+)(?:; extra == \"(\w+)\")?")


class _Requirement(NamedTuple):
    """A requirement of one of the distributions: a package, its minimum version, and the extra that needs it."""

    package: str
    minimum: str
    extra: str | None


def check_versions() -> Finding:
    """Checks that both distributions are installed, with the version of the code that runs."""
    try:
        versions = {name: metadata.version(name) for name in _DISTRIBUTIONS}
    except metadata.PackageNotFoundError as error:
        return Finding("warning", "versions", f"{error.name} is not installed as a package", "install it with pip")
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    if set(versions.values()) != {__version__}:
        return Finding(
            "problem",
            "versions",
            f"{shown}, but the code that runs is of version {__version__}",
            "install both packages again, with the same version",
        )
    return Finding("ok", "versions", shown)


def check_requirements() -> Finding:
    """Checks that the required packages are installed and not too old."""
    required = [one for one in _requirements() if one.extra is None and one.package not in _OWN_CHECK]
    # Both distributions need some packages: each is reported once.
    faults = dict.fromkeys(fault for one in required if (fault := _describe_fault(one)))
    if faults:
        return Finding("problem", "packages", "; ".join(faults), "install charloom again with pip, which updates them")
    return Finding("ok", "packages", "all required packages are installed")


def check_extras() -> Finding:
    """Checks the packages of the extras that are installed, and lists the other extras."""
    extras: dict[str, list[_Requirement]] = {}
    for one in _requirements():
        if one.extra is not None and one.extra not in ("dev", "test"):
            extras.setdefault(one.extra, []).append(one)
    installed = [name for name, packages in extras.items() if all(_version(one.package) for one in packages)]
    faults = [(name, fault) for name in installed for one in extras[name] if (fault := _describe_fault(one))]
    if faults:
        names = ",".join(dict.fromkeys(name for name, _ in faults))
        texts = "; ".join(dict.fromkeys(fault for _, fault in faults))
        return Finding("problem", "extras", texts, f"pip install --upgrade 'charloom[{names}]'")
    missing = [name for name in extras if name not in installed]
    lists = ((", ".join(installed) or "none") + " installed", "without " + ", ".join(missing) if missing else "")
    return Finding("ok", "extras", "; ".join(filter(None, lists)))


def check_torch() -> Finding:
    """Imports PyTorch, and checks its version and its build."""
    try:
        import torch
    except Exception as error:  # a missing library is an OSError, and a damaged installation any error
        return Finding("problem", "torch", f"PyTorch cannot be imported ({error})", "install PyTorch again")
    version, tested = str(torch.__version__), ".".join(map(str, _TORCH_TESTED))
    if _numbers(version) < _TORCH_TESTED:
        return Finding(
            "problem", "torch", f"{version} is older than {tested}, the oldest that works", "upgrade PyTorch"
        )
    toolkit = torch.version.cuda or torch.version.hip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # is_available warns about a missing driver
        is_unused = toolkit is not None and not torch.cuda.is_available()
    if is_unused:
        text = f"{version} is a build for GPUs, several gigabytes large, but PyTorch finds no GPU"
        return Finding("warning", "torch", text, "install the build for CPUs, which computes the same")
    if _numbers(version)[:2] > _TORCH_TESTED:
        text = f"{version} is newer than {tested}, with which charloom was tested"
        return Finding("warning", "torch", text, f"if an error mentions PyTorch, install version {tested}")
    return Finding("ok", "torch", f"{version}, {'for GPUs' if toolkit else 'for CPUs'}")


def _requirements() -> Iterator[_Requirement]:
    """Yields the requirements of the installed distributions."""
    for name in _DISTRIBUTIONS:
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # check_versions reports it
        # Lines in another form, as with a condition on the version of Python, are not checked.
        yield from (_Requirement(*found.groups()) for line in lines if (found := _REQUIREMENT.fullmatch(line)))


def _version(package: str) -> str | None:
    """Returns the version of an installed package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _describe_fault(requirement: _Requirement) -> str | None:
    """Returns a description of a package that is missing or too old; None if it is neither."""
    version = _version(requirement.package)
    if version is None:
        return f"{requirement.package} is missing"
    if _numbers(version) < _numbers(requirement.minimum):
        return f"{requirement.package} {version} is older than {requirement.minimum}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """Returns the numbers at the start of a version, without zeros at their end: (2, 13) for ``2.13.0+cpu``."""
    found = re.match(r"\d+(?:\.[1-9]\d*|\.0+(?=\.\d*[1-9]))*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
