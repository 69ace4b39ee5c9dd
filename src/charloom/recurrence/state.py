"""A recurrent layer's state as its parts: one tensor, or an LSTM's two."""

from collections.abc import Callable, Iterable

from torch import Tensor

from charloom.shapes import State


def state_to_tuple(state: State) -> tuple[Tensor, ...]:
    """(layers, batch, hidden); of an LSTM hidden state and memory cell."""
    return state if isinstance(state, tuple) else (state,)


def tuple_to_state(parts: Iterable[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
    """The state of its parts."""
    first, *rest = parts
    return (first, rest[0]) if rest else first


def map_state(change: Callable[[Tensor], Tensor], state: State) -> Tensor | tuple[Tensor, Tensor]:
    """The state, each part of it changed, perhaps to another shape."""
    return tuple_to_state(map(change, state_to_tuple(state)))
