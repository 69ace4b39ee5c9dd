"""All checks together."""

import sys

import pytest

from charloom.installation import checks
from charloom.installation.checks import check_installation
from charloom.installation.finding import Finding


def test_each_subject_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native code is not checked here: that takes other processes, and ``test_native_code.py`` does it."""
    for subject in ("kernels", "codec"):
        finding = Finding("ok", subject, "correct")
        monkeypatch.setattr(checks, f"check_{subject}", lambda finding=finding: finding)
    subjects = [finding.subject for finding in check_installation()]
    assert sorted(subjects) == sorted(set(subjects))
    assert {"versions", "torch", "kernels", "codec", "threads", "cache"} < set(subjects)


def test_without_torch_the_other_checks_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert [finding.subject for finding in check_installation()] == ["versions", "packages", "extras", "torch"]
