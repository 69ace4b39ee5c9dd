import dataclasses
from pathlib import Path

import pytest
import torch

from charloom import ModelSettings, TrainingSettings, build_model, load_corpus, train
from charloom.training.truncated_bptt import set_learning_rate

_CONSTANT = TrainingSettings(
    batch_size=4, num_steps=10, epochs=3, optimizer="adamw", learning_rate=0.01, device="cpu", sample_every=0
)


def test_cosine(text: str, tmp_path: Path) -> None:
    """Along a cosine from a short rise to nothing; constant otherwise."""
    (tmp_path / "text.txt").write_text(text)
    corpus = load_corpus(tmp_path / "text.txt")
    model = build_model(corpus.vocabulary, ModelSettings("gru", hidden_size=16), seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    settings = dataclasses.replace(_CONSTANT, epochs=10, schedule="cosine")

    def rate(epochs: float, settings: TrainingSettings = settings) -> float:
        set_learning_rate(optimizer, settings, epochs)
        found: float = optimizer.param_groups[0]["lr"]
        return found

    assert rate(0.0) == pytest.approx(0.01 * 0.02)
    assert rate(0.25) < rate(0.5) > rate(1.0) > rate(3.0)
    assert rate(5.0) == pytest.approx(0.01 / 2)
    assert 0 < rate(9.99) < 1e-6
    before = rate(9.0)
    assert rate(1.0, _CONSTANT) == before  # left alone
    history = train(model, corpus, settings)
    assert history[-1].perplexity < history[0].perplexity / 2
