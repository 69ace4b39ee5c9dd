"""Decoding of values that are not ids is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import CharloomError, Vocabulary

_CHARS, _BYTES = Vocabulary(["Z", "a"]), Vocabulary()


@pytest.mark.parametrize("vocabulary", [_CHARS, _BYTES])
@given(ids=st.lists(st.integers(-(2**70), 2**70), max_size=4))
def test_only_ids_are_decoded(vocabulary: Vocabulary, ids: list[int]) -> None:
    """The same for a list, an array and a tensor."""
    good = all(0 <= number < len(vocabulary) for number in ids)
    forms: list[object] = [ids, iter(ids)]
    if all(-(2**63) <= number < 2**63 for number in ids):
        forms += [torch.tensor(ids, dtype=torch.int64), np.array(ids, np.int64)]
    for form in forms:
        if good:
            assert len(vocabulary.decode(form)) >= len(ids)  # type: ignore[arg-type]
        else:
            with pytest.raises(CharloomError):
                vocabulary.decode(form)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "ids", [[1.0], [True], [None], ["a"], "a", 3, None, [[1]], torch.zeros(2, 2, dtype=torch.int64)]
)
def test_other_things_are_not_ids(ids: object) -> None:
    with pytest.raises(CharloomError):
        _CHARS.decode(ids)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [None, 3, ["a"], torch.zeros(1)])
def test_other_things_are_not_text(text: object) -> None:
    for vocabulary in (_CHARS, _BYTES):
        with pytest.raises(CharloomError):
            vocabulary.encode(text)  # type: ignore[arg-type]
    with pytest.raises(CharloomError):
        _CHARS.encode("a", unknown="what")  # type: ignore[arg-type]
