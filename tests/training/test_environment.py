"""PyTorch settings of the caller have no effect on a model's creation, training, evaluation and generation."""

from pathlib import Path
from typing import Any

import pytest
import torch

from charloom import (
    InputError,
    LanguageModel,
    ModelSettings,
    SamplingSettings,
    TrainingSettings,
    build_model,
    corpus_from,
    evaluate,
    evaluate_lines,
    extend_model,
    generate,
    layers,
    train,
)
from torch_settings import CHANGING, SETTINGS

_TEXT = "a fox and a dog\nsaw a crow\n" * 20
_NOT_PLAIN = {"fake tensors", "allow_mutation_on_saved_tensors", *CHANGING}
"""Settings that change values by design, or in which PyTorch does not allow inference mode."""


def _train(folder: Path) -> tuple[LanguageModel, list[float]]:
    corpus = corpus_from(_TEXT)
    assert corpus.text == _TEXT
    model = build_model(corpus.vocabulary, ModelSettings("gru", hidden_size=8, embedding_size=4))
    how = TrainingSettings(epochs=2, batch_size=4, num_steps=8, validation_fraction=0.2)
    history = [*train(model, corpus, how)]
    longer = extend_model(model, corpus.vocabulary.extended("xyz"), init_sigma=0.1)
    longer.save(folder)
    loaded = LanguageModel.load(folder)
    history += train(loaded, corpus.in_vocabulary(loaded.vocabulary), how)
    return loaded, [figure for record in history for figure in (record.perplexity, record.validation_perplexity or 0)]


def _measure(model: LanguageModel) -> Any:
    figures = [line.nats for line in evaluate_lines(model, _TEXT)[1]]
    drawn = SamplingSettings(temperature=0.7, seed=1)
    return [evaluate(model, _TEXT).total_nats, *figures], [generate(model, "a", 9), generate(model, "a", 9, drawn)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Returns a model that is trained without a setting, its history, and what is measured."""
    model, history = _train(tmp_path_factory.mktemp("expected"))
    return model, history, *_measure(model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", sorted(SETTINGS.keys() - _NOT_PLAIN))
def test_settings_of_the_caller_have_no_effect(setting: str, expected: Any, tmp_path: Path) -> None:
    model, expected_history, expected_figures, expected_texts = expected
    with SETTINGS[setting]():
        found, history = _train(tmp_path)
    assert history == pytest.approx(expected_history, rel=1e-5)
    for name, weights in found.state_dict().items():
        assert weights.dtype == torch.float32
        torch.testing.assert_close(weights, model.state_dict()[name])
    if setting != "autocast":  # a setting that asks for lower precision
        with SETTINGS[setting]():
            figures, texts = _measure(found)
        assert texts == expected_texts
        assert figures == pytest.approx(expected_figures, rel=1e-4)


def test_inference_tensors_are_not_trained() -> None:
    corpus = corpus_from(_TEXT)
    with torch.inference_mode():
        model = LanguageModel(layers.GRU(len(corpus.vocabulary), 3), corpus.vocabulary)
    assert generate(model, "a", 3)
    with pytest.raises(InputError, match="inference_mode"):
        train(model, corpus, TrainingSettings(batch_size=4, num_steps=8))


def test_a_model_has_the_dtype_and_device_of_its_layers() -> None:
    vocabulary = corpus_from(_TEXT).vocabulary
    model = LanguageModel(layers.GRU(3, 4, dtype=torch.float64, device="meta"), vocabulary, embedding_size=3)
    assert {(p.dtype, p.device.type) for p in model.parameters()} == {(torch.float64, "meta")}
