"""Words of lines, in str and bytes, and their mean surprisal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom.inference.words import find_words, mean_bits_per_word


@given(st.text("ab7 \t\r\n.é\u2028", max_size=30))
def test_words_are_what_split_returns(line: str) -> None:
    for text in (line, line.encode()):
        assert [text[a:b] for a, b in find_words(text)] == text.split()
        plain = [text[a:b] for a, b in find_words(text, without_digits=True)]
        assert plain == [word for word in text.split() if "7" not in str(word)]


def test_mean_over_words_without_digits() -> None:
    bits = np.arange(1.0, 12.0)  # of each character: 1, 2, ...
    line = "ab x7 c  de"
    assert mean_bits_per_word(line, bits) == pytest.approx(((1 + 2) + 7 + (10 + 11)) / 3)
    assert mean_bits_per_word("77 8", bits[:4]) == 0.0
