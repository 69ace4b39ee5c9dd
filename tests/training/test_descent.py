import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom.recurrence.threads import use_threads
from charloom.training.truncated_bptt import clip_and_step_sgd, clip_gradients
from native import INSTRUCTION_SETS, Switch, switching


def _parameters(sizes: list[int], scale: float, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parameters = [torch.zeros(size, requires_grad=True) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator) * scale
    return [*parameters, torch.zeros(3, requires_grad=True)]  # one without a gradient


@given(
    sizes=st.lists(st.sampled_from([1, 5, 31, 64, 5000, 70_000]), min_size=1, max_size=4),
    scale=st.sampled_from([0.0, 1e-30, 1e-4, 1.0, 1e6]),
    path=st.sampled_from(["pytorch", *INSTRUCTION_SETS]),
)
def test_clips_as_pytorch(sizes: list[int], scale: float, path: str) -> None:
    ours, theirs = _parameters(sizes, scale, 1), _parameters(sizes, scale, 1)
    with switching() as compute_by:
        compute_by(path)
        clip_gradients(ours, 0.5)
    torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    for a, b in zip(ours, theirs, strict=True):
        if b.grad is None:
            assert a.grad is None
        else:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("path", ["pytorch", *INSTRUCTION_SETS])
def test_a_gradient_that_is_not_finite_is_not_hidden(path: str, compute_by: Switch) -> None:
    compute_by(path)
    parameters = _parameters([10], 1.0, 0)
    assert parameters[0].grad is not None
    parameters[0].grad[3] = float("nan")
    clip_gradients(parameters, 1.0)
    assert torch.isnan(parameters[0].grad).any()


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="no native kernels")
@given(
    sizes=st.lists(st.sampled_from([1, 5, 31, 64, 5000, 70_000]), min_size=1, max_size=4),
    scale=st.sampled_from([0.0, 1e-4, 1.0, 1e6]),
    max_norm=st.sampled_from([0.0, 0.5, 1e9]),
    path=st.sampled_from(INSTRUCTION_SETS or [""]),
)
def test_descends_as_pytorch(sizes: list[int], scale: float, max_norm: float, path: str) -> None:
    ours, theirs = _parameters(sizes, scale, 1), _parameters(sizes, scale, 1)
    with switching() as compute_by:
        compute_by(path)
        assert clip_and_step_sgd(ours, max_norm or math.inf, 0.3)
    if max_norm:
        torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    torch.optim.SGD(theirs, lr=0.3).step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=0)
        if b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=0)


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="no native kernels")
def test_threads_change_no_bit() -> None:
    results = []
    for number in (1, 2, 3):
        parameters = _parameters([70_000, 5, 5000], 1.0, 1)
        with use_threads(number):
            assert clip_and_step_sgd(parameters, 0.5, 0.3)
        results.append(torch.cat(parameters))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="no native kernels")
def test_a_graph_made_before_a_step_is_stale() -> None:
    (parameter,) = _parameters([5], 1.0, 1)[:1]
    squares = (parameter * parameter).sum()
    assert clip_and_step_sgd([parameter], math.inf, 0.3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squares.backward()  # type: ignore[no-untyped-call] # torch's


@pytest.mark.parametrize("start", [0, 5000])
def test_tensors_that_share_memory_are_left_to_pytorch(start: int) -> None:
    """Tied weights, or overlapping views: the kernels' threads would change them concurrently."""
    results = []
    for ours in (True, False):
        block = torch.linspace(-1, 1, 20_000)
        parameters = [block[:10_000].detach().requires_grad_(), block[start : start + 10_000].detach().requires_grad_()]
        for parameter in parameters:
            parameter.grad = parameter.detach().sin()
        gradients = [p.grad for p in parameters]
        if ours:
            assert not clip_and_step_sgd(parameters, 1.0, 0.3)
            clip_gradients([*parameters, parameters[0]], 1.0)
        else:
            torch.nn.utils.clip_grad_norm_([*parameters, parameters[0]], 1.0)
        results.append(torch.stack([g for g in gradients if g is not None]))
    torch.testing.assert_close(*results)
