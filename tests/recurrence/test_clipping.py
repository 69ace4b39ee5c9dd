import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom.recurrence.clipping import clip_gradients
from native import INSTRUCTION_SETS


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
def test_as_pytorch_clips(sizes: list[int], scale: float, path: str) -> None:
    ours, theirs = _parameters(sizes, scale, 1), _parameters(sizes, scale, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLOOM_KERNELS", path)
        clip_gradients(ours, 0.5)
    torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    for a, b in zip(ours, theirs, strict=True):
        if b.grad is None:
            assert a.grad is None
        else:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=0)


@pytest.mark.parametrize("path", ["pytorch", *INSTRUCTION_SETS])
def test_a_gradient_that_is_not_finite_is_not_hidden(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLOOM_KERNELS", path)
    parameters = _parameters([10], 1.0, 0)
    assert parameters[0].grad is not None
    parameters[0].grad[3] = float("nan")
    clip_gradients(parameters, 1.0)
    assert torch.isnan(parameters[0].grad).any()
