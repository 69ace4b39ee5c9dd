"""Contexts of the mixture's predictions."""

from charloom_codec.reference.contexts import Match, TextBuffer


def test_a_match_ends_at_the_last_byte() -> None:
    history = TextBuffer(b"abcabc", 4, 2)
    match = Match(3, pointer=6)
    assert match.expected(history) == 0
    history.text[6] = ord("x")
    history.written[0] = 7
    assert match.expected(history) == ord("x") | 256
    assert [history.has(place) for place in (5, 6, 7, 10, 14)] == [True, True, False, False, False]
