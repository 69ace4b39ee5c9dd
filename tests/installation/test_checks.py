"""All checks together."""

import sys

import pytest

from charloom.installation.checks import check_installation


def test_each_subject_is_checked_once() -> None:
    subjects = [finding.subject for finding in check_installation()]
    assert sorted(subjects) == sorted(set(subjects))
    assert {"versions", "torch", "kernels", "codec", "threads", "cache"} < set(subjects)


def test_without_torch_the_other_checks_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert [finding.subject for finding in check_installation()] == ["versions", "packages", "extras", "torch"]
