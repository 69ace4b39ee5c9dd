"""The result of a check."""

from charloom.installation.finding import Finding


def test_a_finding_without_fault_has_no_remedy() -> None:
    assert Finding("ok", "cache", "/cache").remedy == ""
