from typing import Literal

import pytest
import torch

from charloom import ModelSettings, TrainingSettings, build_model, corpus_from, train
from charloom.recurrence.backend import backend


@pytest.mark.parametrize("threads", [1, 2, None])
def test_the_number_of_threads_is_restored(threads: int | None) -> None:
    corpus = corpus_from("A fox, a dog and a crow. " * 20)
    before = torch.get_num_threads()
    inside: list[int] = []
    settings = TrainingSettings(batch_size=4, num_steps=10, epochs=1, threads=threads)
    train(
        build_model(corpus.vocabulary, ModelSettings("rnn", hidden_size=8)),
        corpus,
        settings,
        listeners=[lambda _: inside.append(torch.get_num_threads())],
    )
    assert set(inside) == {threads or (before if backend().kernels is None else 1)}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_no_bit_of_a_run_depends_on_the_number_of_threads(optimizer: Literal["sgd", "adamw"]) -> None:
    """PyTorch uses several threads for the update of 300 x 300 weights and for validation's output layer."""
    corpus = corpus_from("A fox, a dog and a crow. " * 400)
    runs = []
    for threads in (None, 1, 2):
        model = build_model(corpus.vocabulary, ModelSettings(cell="rnn", hidden_size=300), seed=1)
        settings = TrainingSettings(
            optimizer=optimizer,
            learning_rate=0.01 if optimizer == "adamw" else 1.0,
            weight_decay=0.1,
            epochs=1,
            batch_size=16,
            num_steps=20,
            validation_fraction=0.3,
            threads=threads,
        )
        history = train(model, corpus, settings)
        runs.append((history[-1].perplexity, history[-1].validation_perplexity, list(model.parameters())))
    for perplexity, validation, weights in runs[1:]:
        assert (perplexity, validation) == runs[0][:2]
        assert all(torch.equal(a, b) for a, b in zip(weights, runs[0][2], strict=True))
