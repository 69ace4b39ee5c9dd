"""A state and its parts."""

import torch

from charloom.recurrence.state import map_state, state_to_tuple, tuple_to_state


def test_a_state_joins_its_parts() -> None:
    h, c = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert state_to_tuple(h)[0] is tuple_to_state(state_to_tuple(h)) is h
    for found in (state_to_tuple((h, c)), tuple_to_state(iter((h, c)))):
        assert isinstance(found, tuple)
        assert len(found) == 2
        assert found[0] is h
        assert found[1] is c


def test_each_part_is_mapped() -> None:
    h, c = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    one = map_state(lambda part: part + 1, h)
    assert isinstance(one, torch.Tensor)
    assert torch.equal(one, c)
    both = map_state(lambda part: part[:, :1] + 1, (h, c))
    assert isinstance(both, tuple)
    assert [part.tolist() for part in both] == [[[[1, 1, 1]]], [[[2, 2, 2]]]]
