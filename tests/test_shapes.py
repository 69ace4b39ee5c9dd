"""Types of tensors are checked at each call while the suite runs: wrong shapes and dtypes are detected."""

from typing import Any

import jaxtyping
import pytest
import torch

from charloom import ModelSettings, Vocabulary, build_model
from charloom.shapes import HiddenState, Ids, Inputs, Logits, LSTMState, Scalar, State, StepIds, TextIds

_IDS = torch.zeros(2, 3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (TextIds, _IDS[0], _IDS),
        (Ids, _IDS, _IDS.int()),
        (StepIds, _IDS[:, 0], _IDS),
        (Logits, torch.zeros(3, 2, 5), torch.zeros(3, 2, 5, dtype=torch.int64)),
        (Inputs, torch.zeros(3, 2, 5), torch.zeros(3, 2)),
        (HiddenState, torch.zeros(1, 2, 5), torch.zeros(2, 5)),
        (Scalar, torch.tensor(1.0), torch.ones(1)),
    ],
)
def test_the_meaning_of_each_name(kind: Any, right: torch.Tensor, wrong: torch.Tensor) -> None:
    assert isinstance(right, kind)
    assert not isinstance(wrong, kind)


def test_a_letter_is_one_size_within_a_call() -> None:
    import beartype

    @jaxtyping.jaxtyped(typechecker=beartype.beartype)
    def read(ids: Ids, logits: Logits, state: State | LSTMState) -> None: ...

    h, c = torch.zeros(1, 2, 4), torch.zeros(1, 2, 6)
    read(_IDS, torch.zeros(3, 2, 5), h)
    read(_IDS, torch.zeros(3, 2, 5), (h, c))  # with a projection H and C differ
    for logits, state in ((torch.zeros(2, 3, 5), h), (torch.zeros(3, 2, 5), torch.zeros(1, 3, 4))):
        with pytest.raises(jaxtyping.TypeCheckError):
            read(_IDS, logits, state)


def test_the_suite_checks_the_models_calls() -> None:
    model = build_model(Vocabulary.of_text("abc"), ModelSettings(hidden_size=4))
    model(_IDS)
    with pytest.raises(jaxtyping.TypeCheckError, match=r"parameter 'ids'"):
        model(_IDS.float())
    with pytest.raises(jaxtyping.TypeCheckError, match=r"parameter 'state'"):
        model(_IDS, model.begin_state(3))


@pytest.mark.usefixtures("unchecked")
def test_the_check_can_be_disabled() -> None:
    from charloom.errors import InputError

    with pytest.raises(InputError, match="ids must be int64"):
        build_model(Vocabulary.of_text("abc"), ModelSettings(hidden_size=4))(_IDS.float())
