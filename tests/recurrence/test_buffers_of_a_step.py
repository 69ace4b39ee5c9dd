"""Input and output tensors of a step that others change before or during the computation of gradients."""

import threading
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor

import charloom
from charloom import InputError, LanguageModel, ModelSettings, Vocabulary
from charloom.models.fused import prepare_native_step
from native import INSTRUCTION_SETS

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _model(**model_settings: Any) -> LanguageModel:
    settings = ModelSettings(**({"hidden_size": 20, "init_sigma": 0} | model_settings))
    return charloom.build_model(Vocabulary.of_text("abcdefghij"), settings)


def _text(model: LanguageModel, batch: int, steps: int) -> tuple[Tensor, Tensor]:
    ids = torch.randint(len(model.vocabulary), (batch, steps + 1))
    return ids[:, :-1], ids[:, 1:]


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _gradient_of_the_penalty(model: LanguageModel, ids: Tensor, targets: Tensor, state: Any, refill: bool) -> Any:
    parameters = list(model.parameters())
    loss, _ = model.loss(ids, targets, state)
    if refill:
        for buffer in (ids, targets, *_parts(state)):
            buffer.copy_(buffer.flip(1))
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    return first, torch.autograd.grad(torch.stack([g.norm() for g in first]).sum(), parameters)


def test_second_derivatives_are_of_the_inputs_at_the_call() -> None:
    """A buffer may be refilled with the next minibatch before the gradients are computed."""
    results = []
    for refill in (False, True):
        torch.manual_seed(0)
        model = _model(cell="lstm", embedding_size=8)
        ids, targets = (t.clone() for t in _text(model, 3, 4))
        state = tuple(torch.randn_like(part) for part in _parts(model.begin_state(3)))
        results.append(_gradient_of_the_penalty(model, ids, targets, state, refill))
    for found, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(found, expected)


def test_gradients_of_a_retained_graph_are_the_callers() -> None:
    model = _model()
    loss, _ = model.loss(*_text(model, 3, 4))
    first = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    expected = [gradient.clone() for gradient in first]
    for gradient in first:
        gradient.data.zero_()
    assert all(map(torch.equal, torch.autograd.grad(loss, list(model.parameters())), expected))


def test_gradients_are_added_in_place() -> None:
    """They may be views of one block, as DistributedDataParallel and optimizers have them."""
    model = _model()
    parameters = list(model.parameters())
    block = torch.zeros(sum(p.numel() for p in parameters))
    sizes = [p.numel() for p in parameters]
    views = [v.view(p.shape) for v, p in zip(torch.split(block, sizes), parameters, strict=True)]
    for parameter, view in zip(parameters, views, strict=True):
        parameter.grad = view
    assert prepare_native_step(model, *_text(model, 3, 4), None) is not None
    model.backpropagate(*_text(model, 3, 4))
    assert all(p.grad is view for p, view in zip(parameters, views, strict=True))
    assert block.any()


def test_ids_that_another_thread_changes() -> None:
    """Each id is read once, with its check: an invalid one is refused, or was not there yet."""
    model = _model(cell="rnn", hidden_size=64)
    ids, targets = (t.clone() for t in _text(model, 16, 30))
    right, stop = ids.clone(), threading.Event()

    def change() -> None:
        while not stop.is_set():
            ids.fill_(2**40)
            ids.copy_(right)

    other = threading.Thread(target=change)
    other.start()
    try:
        for _ in range(300):
            with suppress(InputError):
                assert torch.isfinite(model.backpropagate(ids, targets)[0])
    finally:
        stop.set()
        other.join()
