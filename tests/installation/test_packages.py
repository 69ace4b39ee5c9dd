"""Checks of packages, with metadata of packages in a folder."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom.installation import packages
from charloom.installation.finding import Finding
from charloom.installation.packages import check_extras, check_requirements, check_torch, check_versions
from charloom_codec.version import __version__

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that installs the metadata of a package, in preference to that of the environment."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(name: str, version: str, *requirements: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {line}" for line in requirements), ""]))

    return add


def test_this_installation() -> None:
    assert check_versions() == Finding("ok", "versions", f"charloom {__version__}, charloom-codec {__version__}")
    assert check_requirements().status == "ok"
    assert check_extras().status == "ok"
    assert check_torch().status != "problem"


def test_packages_of_different_versions(site: Any) -> None:
    site("charloom-codec", "0.0.9")
    found = check_versions()
    assert found.status == "problem"
    assert "charloom-codec 0.0.9, but the code that runs is of version" in found.text


def test_code_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_DISTRIBUTIONS", ("charloom-that-is-missing",))
    assert check_versions().status == "warning"
    assert check_requirements().status == "ok"


def test_missing_and_old_packages(site: Any) -> None:
    site("numpy", "1.26.4")
    site("charloom", __version__, "numpy>=2.4", "torch>=99", "no-such-package>=1.0", "tzdata>=1; python_version < '3'")
    found = check_requirements()
    assert (found.status, found.text) == ("problem", "numpy 1.26.4 is older than 2.4; no-such-package is missing")


@pytest.mark.parametrize(
    ("version", "minimum", "is_old"),
    [
        ("2.4", "2.4.0", False),
        ("2.10", "2.9", False),
        ("2.9.9", "2.10", True),
        ("3", "2.9", False),
        ("2.4rc1", "2.4", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, minimum: str, is_old: bool, site: Any) -> None:
    site("charloom", __version__, f"sample>={minimum}")
    site("sample", version)
    assert (check_requirements().status == "problem") == is_old


def test_extras(site: Any) -> None:
    site("charloom", __version__, 'sample>=1.0; extra == "first"', 'missing>=1.0; extra == "second"')
    site("charloom-codec", __version__)
    site("sample", "1.0")
    assert check_extras().text == "first installed; without second"


def test_an_extra_that_is_too_old(site: Any) -> None:
    site("charloom", __version__, 'sample>=1.0; extra == "first"')
    site("sample", "0.9")
    found = check_extras()
    assert (found.status, found.text) == ("problem", "sample 0.9 is older than 1.0")
    assert found.remedy == "pip install --upgrade 'charloom[first]'"


def test_builds_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds and versions that are not installed here are simulated; they would take gigabytes."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch, "__version__", "2.13.1+cpu")
    assert check_torch() == Finding("ok", "torch", "2.13.1+cpu, for CPUs")
    monkeypatch.setattr(torch, "__version__", "2.14.0")
    assert check_torch().status == "warning"
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    assert check_torch().status == "problem"
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "finds no GPU" in check_torch().text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert check_torch() == Finding("ok", "torch", "2.13.0+cu130, for GPUs")


def test_torch_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = check_torch()
    assert found.status == "problem"
    assert found.text.startswith("PyTorch cannot be imported (")


def test_the_tested_version_of_torch_is_that_of_the_constraints() -> None:
    tested = ".".join(map(str, packages._TORCH_TESTED))
    assert f"\ntorch=={tested}." in (_ROOT / "constraints.txt").read_text()
    assert f'"torch>={tested}"' in (_ROOT / "pyproject.toml").read_text()
