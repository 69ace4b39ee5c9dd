"""Conversion between a recurrent layer's state and the tuple of its parts (one tensor, or two for an LSTM)."""

from collections.abc import Callable, Iterable

from torch import Tensor

from charloom.shapes import State


def state_to_tuple(state: State) -> tuple[Tensor, ...]:
    """Returns the parts of a state, each (layers, batch, hidden): hidden state and, for an LSTM, cell state."""
    return state if isinstance(state, tuple) else (state,)


def tuple_to_state(parts: Iterable[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
    """Returns the state that consists of these parts: a tensor for one, a pair for two."""
    # A bare tensor, not a tuple of one: torch.nn's convention for RNN and GRU.
    first, *rest = parts
    return (first, rest[0]) if rest else first


def map_state(change: Callable[[Tensor], Tensor], state: State) -> Tensor | tuple[Tensor, Tensor]:
    """Returns a state whose parts are the results of ``change``, which may have other shapes."""
    return tuple_to_state(map(change, state_to_tuple(state)))
