"""Input noise: which inputs are replaced, by what, and its effect on training."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import CorpusSettings, ModelSettings, TrainingSettings, build_model, corpus_from, train
from charloom.training.input_noise import add_input_noise


def test_without_noise_nothing_is_drawn() -> None:
    """Runs of earlier versions, and those without noise, have the same random numbers as before."""
    torch.manual_seed(1)
    inputs = torch.arange(6).view(2, 3)
    before = torch.get_rng_state()
    assert add_input_noise(inputs, 0.0) is inputs
    assert torch.equal(torch.get_rng_state(), before)


@given(probability=st.floats(0.01, 0.99), batch=st.integers(1, 5), steps=st.integers(1, 40), seed=st.integers(0, 99))
def test_replacements_come_from_the_minibatch(probability: float, batch: int, steps: int, seed: int) -> None:
    torch.manual_seed(seed)
    inputs = torch.randint(50, (batch, 2 * steps))[:, ::2]  # not contiguous, as minibatches are
    copy = inputs.clone()
    found = add_input_noise(inputs, probability)
    assert torch.equal(inputs, copy)
    assert found.shape == inputs.shape
    assert set(found.flatten().tolist()) <= set(inputs.flatten().tolist())


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_share_and_frequencies(probability: float) -> None:
    """Every id is replaced with this probability, by ids with the frequencies of the minibatch."""
    torch.manual_seed(0)
    inputs = torch.cat([torch.zeros(32, 300), torch.ones(32, 100)], 1).long()
    found = add_input_noise(inputs, probability)
    changed = found != inputs
    assert changed[:, :300].float().mean() == pytest.approx(probability / 4, rel=0.15)
    assert changed[:, 300:].float().mean() == pytest.approx(probability * 3 / 4, rel=0.15)


@pytest.mark.filterwarnings("ignore:validation perplexity was best")
def test_noise_reduces_overfitting() -> None:
    """A model that would memorize a small random text cannot rely on exact contexts."""
    torch.manual_seed(3)
    text = "".join(chr(97 + int(i)) for i in torch.randint(6, (400,)))
    corpus = corpus_from(text, **vars(CorpusSettings()))
    results = []
    for noise in (0.0, 0.4):
        model = build_model(corpus.vocabulary, ModelSettings(cell="gru", hidden_size=64, init_sigma=0))
        history = train(
            model,
            corpus,
            TrainingSettings(
                batch_size=8,
                num_steps=10,
                epochs=40,
                optimizer="adamw",
                learning_rate=0.01,
                validation_fraction=0.2,
                sample_every=0,
                input_noise=noise,
            ),
        )
        results.append(history[-1])
    without, with_noise = results
    assert with_noise.perplexity > without.perplexity
    assert (with_noise.validation_perplexity or 0) < (without.validation_perplexity or 0)
