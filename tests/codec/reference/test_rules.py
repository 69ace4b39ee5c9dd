"""The rules of the versions: every version has some, within the limits of the native arithmetic."""

from charloom_codec.engines.engine import VERSIONS
from charloom_codec.reference.rules import MIXING_RULES


def test_every_version_has_rules() -> None:
    assert sorted(MIXING_RULES) == sorted(VERSIONS["mixing"])


def test_no_product_exceeds_32_bits() -> None:
    """An error of 17 bits times a rate."""
    for rules in MIXING_RULES.values():
        for rate in (rules.first_rate, rules.network_rate, rules.last_rate, rules.apm_rate):
            assert 0 < rate < 1 << 14
        assert 0 <= rules.certain < 1 << 15
