"""A recurrent layer's state as its parts: one tensor, or an LSTM's two."""

from collections.abc import Callable, Iterable

from torch import Tensor

from charloom.shapes import State


def parts_of(state: State) -> tuple[Tensor, ...]:
    """(layers, batch, hidden); of an LSTM hidden state and memory cell."""
    return state if isinstance(state, tuple) else (state,)


def state_of(parts: Iterable[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
    """The state of its parts."""
    first, *rest = parts
    return (first, rest[0]) if rest else first


def map_parts(change: Callable[[Tensor], Tensor], state: State) -> Tensor | tuple[Tensor, Tensor]:
    """The state, each part of it changed, perhaps to another shape."""
    return state_of(map(change, parts_of(state)))
