"""A model that training could not change, or not correctly, is refused before any step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from charloom import InputError, LanguageModel, ModelSettings, TrainingSettings, build_model, evaluate, generate, train
from charloom.text.corpora import corpus_from
from native import Switch

_CORPUS = corpus_from("a fox and a dog saw a crow. " * 20)


def _sparse(model: Any) -> LanguageModel:
    model.embedding.sparse = True
    return model  # type: ignore[no-any-return]


_UNTRAINABLE: dict[str, tuple[Callable[[Any], LanguageModel], str]] = {
    "frozen": (lambda model: model.requires_grad_(False), "no weight requires a gradient"),
    "sparse": (_sparse, "embedding computes sparse gradients"),
    "on meta": (lambda model: model.to("meta"), "on the meta device"),
}


def _model() -> LanguageModel:
    return build_model(_CORPUS.vocabulary, ModelSettings(hidden_size=4, embedding_size=3))


@pytest.mark.parametrize("kernels", ["auto", "pytorch"])
@pytest.mark.parametrize("name", _UNTRAINABLE)
def test_refused(name: str, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    change, message = _UNTRAINABLE[name]
    with pytest.raises(InputError, match=message):
        train(change(_model()), _CORPUS, TrainingSettings(epochs=1, batch_size=4, num_steps=8))


def test_one_trainable_weight_is_enough() -> None:
    model = _model().requires_grad_(False)
    model.output.bias.requires_grad_()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, _CORPUS, TrainingSettings(epochs=1, batch_size=4, num_steps=8))
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["output.bias"]


@pytest.mark.parametrize(
    "use",
    [lambda model: generate(model, "a", 3), lambda model: evaluate(model, "a fox"), lambda model: model.save("m")],
)
def test_a_model_on_the_meta_device_is_refused(use: Callable[[LanguageModel], object]) -> None:
    with pytest.raises(InputError, match="on the meta device"):
        use(_model().to("meta"))
