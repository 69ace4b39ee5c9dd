"""A predictor with known probabilities."""

import torch

from charloom.shapes import Ids, Logits, State, StepIds, StepLogits
from charloom.text.vocabulary import Vocabulary


class MarkovPredictor:
    """A predictor with given probabilities of each token after each other; its state counts the tokens read.

    It also counts its calls.

    Args:
        vocabulary: The vocabulary, of V tokens.
        transitions: Probabilities (V, V); row i is the distribution after token i.
    """

    def __init__(self, vocabulary: Vocabulary, transitions: torch.Tensor) -> None:
        self.vocabulary = vocabulary
        self.device = torch.device("cpu")
        self.log_transitions = transitions.log()
        self.steps_read = 0

    def begin_state(self, batch_size: int) -> State:
        return torch.zeros(1, batch_size, 1)

    def __call__(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        if state is None:
            state = self.begin_state(len(ids))
        assert isinstance(state, torch.Tensor)
        self.steps_read += ids.shape[1]
        return self.log_transitions[ids.t()], state + ids.shape[1]

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        logits, state = self(ids.unsqueeze(1), state)
        return logits[0], state


def cyclic_predictor() -> MarkovPredictor:
    """Returns a predictor of the cycle a, b, c with probability 0.9; the rest is spread evenly over a, b, c."""
    transitions = torch.full((4, 4), 0.05)
    transitions[:, 0] = 0.0
    for before, after in ((1, 2), (2, 3), (3, 1)):
        transitions[before, after] = 0.9
    return MarkovPredictor(Vocabulary(["a", "b", "c"]), transitions)
