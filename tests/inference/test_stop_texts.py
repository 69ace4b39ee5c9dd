"""Stop texts: the text before the first of them, in any division into chunks."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charloom.inference.stop_texts import StopTexts

_SHORT = st.text("ab", min_size=1, max_size=4)


@settings(max_examples=500)
@example(["a", "b", "b"], ["b", "abb"])
@given(st.lists(st.text("ab", max_size=4), max_size=8), st.lists(_SHORT, max_size=3))
@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_text_before_the_first_that_ends(as_bytes: bool, chunks: list[str], stops: list[str]) -> None:
    whole = "".join(chunks)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    expected = whole[: min(ends)[1]] if ends else whole
    if as_bytes:
        found = StopTexts([stop.encode() for stop in stops])
        passed = b"".join(found.feed(chunk.encode()) for chunk in chunks) + (found.finish() or b"")
        assert passed == expected.encode()
    else:
        texts = StopTexts(stops)
        parts = []
        for chunk in chunks:
            parts.append(texts.feed(chunk))
            # Held back is only what may be the start of a stop text.
            assert texts.found or len("".join(parts)) > len("".join(chunks)) - 4 * len(chunks) - 1
        assert "".join(parts) + (texts.finish() or "") == expected
        assert texts.found == bool(ends)


def test_text_is_passed_on_as_soon_as_possible() -> None:
    texts = StopTexts(["abc", "x"])
    assert [texts.feed(chunk) for chunk in ("za", "b", "b", "ab", "c!")] == ["z", "", "abb", "", ""]
    assert texts.found
    assert texts.feed("more") == ""
    assert texts.finish() is None
    assert StopTexts([]).feed("abc") == "abc"
