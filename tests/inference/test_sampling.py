import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from charloom import SamplingSettings
from charloom.inference.sampling import Sampler, probabilities

_LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=8).map(lambda row: torch.tensor([row]))


def _powers(logits: Tensor, alpha: float) -> Tensor:
    """Returns the textbook's p^alpha, term by term."""
    p = torch.softmax(logits.double(), -1) ** alpha
    return p / p.sum(-1, keepdim=True)


@given(logits=_LOGITS, alpha=st.floats(0.05, 8))
def test_power_is_p_to_the_alpha(logits: Tensor, alpha: float) -> None:
    found = probabilities(logits, SamplingSettings(power=alpha))
    torch.testing.assert_close(found, _powers(logits, alpha))


@given(logits=_LOGITS, alpha=st.floats(0.05, 20))
def test_power_is_one_over_temperature(logits: Tensor, alpha: float) -> None:
    torch.testing.assert_close(
        probabilities(logits, SamplingSettings(power=alpha)),
        probabilities(logits, SamplingSettings(temperature=1 / alpha)),
    )


@given(row=st.lists(st.integers(-50, 50), min_size=1, max_size=8, unique=True))
def test_greedy_is_the_limit_of_temperature_to_zero(row: list[int]) -> None:
    logits = torch.tensor([row], dtype=torch.float32)
    greedy = probabilities(logits, SamplingSettings(temperature=0.0))
    assert greedy.argmax() == logits.argmax()
    assert greedy.sum() == greedy.max() == 1
    torch.testing.assert_close(probabilities(logits, SamplingSettings(temperature=1e-3)), greedy)
    torch.testing.assert_close(probabilities(logits, SamplingSettings()), greedy)


def test_extremes_of_the_power() -> None:
    logits = torch.tensor([[0.0, 30.0, -torch.inf]])
    torch.testing.assert_close(
        probabilities(logits, SamplingSettings(power=0)), torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    )
    assert probabilities(logits, SamplingSettings(temperature=1e-300)).tolist() == [[0.0, 1.0, 0.0]]
    assert probabilities(logits, SamplingSettings(power=1e300)).tolist() == [[0.0, 1.0, 0.0]]


@given(logits=_LOGITS, k=st.integers(1, 10), p=st.floats(0.01, 1.0), data=st.data())
def test_top_k_and_top_p(logits: Tensor, k: int, p: float, data: st.DataObject) -> None:
    """The most likely tokens are kept, in their proportions; no more than asked for, no fewer than needed."""
    chosen = data.draw(st.sampled_from([(k, None), (None, p), (k, p)]))
    found = probabilities(logits, SamplingSettings(top_k=chosen[0], top_p=chosen[1]))[0]
    whole = _powers(logits, 1.0)[0]
    kept = found > 0
    assert found.sum() == pytest.approx(1)
    torch.testing.assert_close(found[kept], whole[kept] / whole[kept].sum())
    assert kept.sum() <= (chosen[0] or len(whole))
    if (~kept).any() and kept.any():
        assert whole[kept].min() >= whole[~kept].max() * (1 - 1e-9)
    if chosen[0] is None and whole[kept].sum() < 1:
        # It reaches p, and would not without its least likely token.
        assert whole[kept].sum() >= p - 1e-9
        assert whole[kept].sum() - whole[kept].min() < p + 1e-9


def test_draws_follow_the_probabilities() -> None:
    """20,000 draws: each frequency within five standard errors."""
    p = torch.tensor([0.5, 0.25, 0.2, 0.05])
    number = 20_000
    draws = Sampler(SamplingSettings(temperature=1.0, seed=1), number).choose(p.log().expand(number, 4))
    for token, expected in enumerate(p.tolist()):
        error = math.sqrt(expected * (1 - expected) / number)
        assert (draws == token).double().mean().item() == pytest.approx(expected, abs=5 * error)


def test_a_forbidden_token_is_never_drawn() -> None:
    logits = torch.tensor([[0.0, 0.0, -torch.inf]]).expand(5000, 3)
    draws = Sampler(SamplingSettings(temperature=1.0, seed=2), 5000).choose(logits)
    assert set(draws.tolist()) == {0, 1}


def test_streams_are_independent_and_reproducible() -> None:
    """Sequence i of a seed draws the same for any number of sequences; without a seed, each sampler differs."""
    logits = torch.zeros(3, 1000)
    options = SamplingSettings(temperature=1.0, seed=7)
    three = Sampler(options, 3)
    drawn = torch.stack([three.choose(logits) for _ in range(5)])
    alone = Sampler(options, 1)
    assert torch.equal(torch.stack([alone.choose(logits[:1]) for _ in range(5)])[:, 0], drawn[:, 0])
    assert len(set(map(tuple, drawn.t().tolist()))) == 3
    unseeded = [Sampler(SamplingSettings(temperature=1.0), 3).choose(logits).tolist() for _ in range(2)]
    assert unseeded[0] != unseeded[1]


def test_known_draws() -> None:
    """Philox is defined by its counters: these choices are the same on every machine and in every later version."""
    sampler = Sampler(SamplingSettings(temperature=1.0, seed=2019), 2)
    assert [sampler.choose(torch.zeros(2, 100)).tolist() for _ in range(4)] == [[16, 45], [48, 30], [7, 40], [15, 89]]
