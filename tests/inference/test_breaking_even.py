"""From how much text on a model pays for itself."""

from charloom.inference.compression_report import break_even, known_share


def test_breaking_even() -> None:
    """1000 bytes take 100 with the model and 300 without: 0.2 saved a byte, so 50,000 pay for 10,000."""
    assert break_even(1000, 100, 300, 10_000) == 50_000
    assert break_even(1000, 300, 300, 10_000) == float("inf")
    assert break_even(1000, 100, None, 10_000) == float("inf")


def test_what_the_priming_has_too() -> None:
    priming = bytes(range(256))
    assert known_share(priming[10:138], priming) == 1
    assert known_share(bytes(64) + priming[10:74], priming) == 0.5
    assert known_share(b"short", priming) == 0
