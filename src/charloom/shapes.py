"""Letters of tensor dimensions, and type aliases of tensors with these dimensions.

| letter | number of |
|---|---|
| B | sequences in a minibatch (batch) |
| T | time steps |
| V | tokens in the vocabulary |
| I | input features of a layer |
| H | units of a hidden state; C, of an LSTM's cell state (they differ only with a projection) |
| L | layers, times two if they are bidirectional |

In tests, jaxtyping with beartype checks these annotations at each call; at run time they cost nothing.
"""

from typing import TypeAlias

from jaxtyping import Float, Int64
from torch import Tensor

TextIds: TypeAlias = Int64[Tensor, " N"]
"""A text as token ids."""

Ids: TypeAlias = Int64[Tensor, "B T"]
"""A minibatch of token ids."""

StepIds: TypeAlias = Int64[Tensor, " B"]
"""One token id for each sequence."""

Logits: TypeAlias = Float[Tensor, "T B V"]
StepLogits: TypeAlias = Float[Tensor, "B V"]

Inputs: TypeAlias = Float[Tensor, "T B I"]
"""Inputs of a recurrent layer."""

Outputs: TypeAlias = Float[Tensor, "T B O"]
"""Outputs of a recurrent layer: hidden states of the top layer, both directions concatenated."""

HiddenState: TypeAlias = Float[Tensor, "L B H"]
LSTMState: TypeAlias = tuple[Float[Tensor, "L B H"], Float[Tensor, "L B C"]]
"""Hidden state and cell state."""

State: TypeAlias = HiddenState | LSTMState

Scalar: TypeAlias = Float[Tensor, ""]
