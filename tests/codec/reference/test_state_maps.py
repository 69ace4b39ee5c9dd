"""Logits, StateMaps and bit histories."""

from charloom_codec.reference.state_maps import (
    BIT_HISTORY_TABLE,
    LOGIT_LIMIT,
    make_state_map,
    squash,
    stretch,
    update_state_map,
)


def test_bit_history_states_fit_into_a_byte() -> None:
    assert len(BIT_HISTORY_TABLE.next) == len(BIT_HISTORY_TABLE.zeros) <= 256


def test_stretch_is_the_inverse_of_squash() -> None:
    for logit in range(-LOGIT_LIMIT, LOGIT_LIMIT + 1):
        assert squash(stretch(squash(logit))) == squash(logit)
    assert squash(0) == 1 << 15


def test_a_state_map_learns_the_bits_that_it_gets() -> None:
    """Fast at first, then slower, and never to certainty."""
    number = make_state_map(1 << 15, 0)
    seen = [(number := update_state_map(number, 1)) >> 16 for _ in range(2000)]
    assert seen == sorted(seen)
    assert seen[0] > 50_000
    assert 65_000 < seen[-1] < 65_536
