"""Private parts of PyTorch behave as charloom assumes. A failure here means that PyTorch has changed one."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed import HashStore  # type: ignore[attr-defined]
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules import module as torch_module
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from charloom import layers
from charloom.recurrence import torch_internals
from charloom.recurrence.backend import use_backend
from charloom.recurrence.torch_internals import (
    are_hooked,
    can_autocast_lstm,
    has_gradient_hooks,
    has_saved_tensor_hooks,
    has_step_hooks,
    is_batched,
    is_differentiated,
    is_in_distributed_forward,
    is_observed,
    is_transformed,
    is_wrapped,
    keeps_graph,
    version_of,
    without_one_dnn,
)


def _answer(question: Callable[..., bool], run: Callable[[Callable[[Tensor], Tensor]], Any], of_tensor: bool) -> bool:
    """Returns the answer of a question within a function that PyTorch runs."""
    answers: list[bool] = []

    def function(x: Tensor) -> Tensor:
        answers.append(question(x) if of_tensor else question())
        return x.sin().sum()

    run(function)
    return any(answers)


def _dual(function: Callable[[Tensor], Tensor]) -> None:
    with forward_ad.dual_level():
        function(forward_ad.make_dual(torch.ones(2), torch.ones(2)))


def _fake(function: Callable[[Tensor], Tensor]) -> None:
    with FakeTensorMode() as mode:
        function(mode.from_tensor(torch.ones(2)))


def _legacy_vmap(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 1
    y.register_hook(lambda upstream: None if function(upstream) is None else upstream)
    torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True)


_RUNS: dict[str, Callable[[Callable[[Tensor], Tensor]], Any]] = {
    "plainly": lambda f: f(torch.ones(2)),
    "grad": lambda f: torch.func.grad(f)(torch.ones(2)),
    "vmap": lambda f: torch.func.vmap(f)(torch.ones(2, 2)),
    "gradients by vmap": _legacy_vmap,
    "forward mode": _dual,
    "dispatch mode": _fake,
    "make_fx": lambda f: make_fx(f, pre_dispatch=True)(torch.ones(2)),
    "jit.trace": lambda f: torch.jit.trace(f, torch.ones(2), check_trace=False),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("question", "of_tensor", "yes"),
    [
        (is_transformed, False, {"grad", "vmap"}),
        (is_differentiated, False, {"grad", "vmap", "forward mode"}),
        (is_observed, False, {"grad", "vmap", "forward mode", "dispatch mode", "make_fx", "jit.trace"}),
        (is_batched, True, {"vmap", "gradients by vmap"}),
        (is_wrapped, True, {"grad", "vmap"}),
    ],
)
def test_predicates_inside_each_mode(question: Callable[..., bool], of_tensor: bool, yes: set[str]) -> None:
    found = {name for name, run in _RUNS.items() if _answer(question, run, of_tensor)}
    assert found == yes


def test_saved_tensor_hooks() -> None:
    assert not has_saved_tensor_hooks()
    with saved_tensors_hooks(lambda x: x, lambda x: x):
        assert has_saved_tensor_hooks()


def test_a_graph_that_is_kept() -> None:
    answers = []

    class Asking(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(_: Any, *upstream: Tensor) -> Tensor:
            answers.append(keeps_graph())
            return upstream[0]

    y = Asking.apply(torch.ones(2, requires_grad=True)).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert answers == [True, False]


def test_versions() -> None:
    x = torch.zeros(2)
    before = version_of(x)
    x.view(1, 2).add_(1)
    assert before is not None
    assert version_of(x) == before + 1
    with torch.inference_mode():
        assert version_of(torch.zeros(2)) is None


def _hooked(register: Callable[[nn.Module], Any]) -> tuple[bool, bool]:
    """Returns ``are_hooked`` for a module with a hook, and for the module that contains it."""
    inner = nn.Linear(2, 2)
    outer = nn.Sequential(inner)
    handle = register(inner)
    try:
        return are_hooked([None, inner]), are_hooked([outer])
    finally:
        handle.remove()
        assert not are_hooked([inner, outer])


def test_hooks_of_modules() -> None:
    def hook(*_: Any) -> None:
        return None

    assert _hooked(lambda m: m.register_forward_hook(hook)) == (True, False)
    assert _hooked(lambda m: m.register_forward_pre_hook(hook)) == (True, False)
    assert _hooked(lambda m: m.register_full_backward_hook(hook)) == (True, False)
    assert _hooked(lambda m: m.register_full_backward_pre_hook(hook)) == (True, False)
    assert _hooked(lambda _: torch_module.register_module_forward_hook(hook)) == (True, True)
    assert _hooked(lambda _: torch_module.register_module_forward_pre_hook(hook)) == (True, True)
    assert _hooked(lambda _: torch_module.register_module_full_backward_hook(hook)) == (True, True)


def test_hooks_of_gradients() -> None:
    for register in ("register_hook", "register_post_accumulate_grad_hook"):
        parameter = nn.Parameter(torch.zeros(2))
        assert not has_gradient_hooks(parameter)
        handle = getattr(parameter, register)(lambda _: None)
        assert has_gradient_hooks(parameter)
        handle.remove()
        assert not has_gradient_hooks(parameter)


def test_hooks_of_optimizers() -> None:
    def hook(*_: Any) -> None:
        return None

    optimizer = SGD([nn.Parameter(torch.zeros(2))], lr=0.1)
    for register in (
        optimizer.register_step_pre_hook,
        optimizer.register_step_post_hook,
        register_optimizer_step_pre_hook,
        register_optimizer_step_post_hook,
    ):
        assert not has_step_hooks(optimizer)
        handle = register(hook)
        assert has_step_hooks(optimizer)
        handle.remove()
    assert not has_step_hooks(optimizer)


def test_the_forward_of_distributed_data_parallel() -> None:
    answers = []

    class Asking(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch.nn's name
            answers.append(is_in_distributed_forward())
            return super().forward(input)

    torch.distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        DistributedDataParallel(Asking(2, 2))(torch.ones(1, 2))
    finally:
        torch.distributed.destroy_process_group()
    assert answers == [True]
    assert not is_in_distributed_forward()


def test_an_lstm_under_autocast_depends_on_the_processor() -> None:
    """Against the error that PyTorch's own LSTM raises; charloom's raises none."""
    lstm, inputs = nn.LSTM(2, 3), torch.ones(1, 1, 2)
    assert can_autocast_lstm()
    with torch.autocast("cpu", torch.bfloat16):
        can = can_autocast_lstm()
    with torch.autocast("cpu", torch.bfloat16), nullcontext() if can else pytest.raises(RuntimeError):
        lstm(inputs)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            layers.LSTM(2, 3)(inputs)


def test_one_dnn_is_off_within() -> None:
    before = torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled()
    with without_one_dnn():
        assert not torch._C._get_mkldnn_enabled()
    assert torch._C._get_mkldnn_enabled() == before


def test_the_compiler_takes_answers_and_skips_functions() -> None:
    """``tests/support/compiling.py`` compiles all of it; here are the two marks alone."""
    from torch._dynamo.testing import CompileCounter

    answers = iter([3.0, 5.0])

    @torch_internals.constant_for_compiler
    def answer() -> float:
        return next(answers)

    inside: list[bool] = []

    @torch_internals.hidden_from_compiler
    def hidden(x: Tensor) -> Tensor:
        inside.append(torch.compiler.is_compiling())
        return x * 2

    counter = CompileCounter()
    compiled = torch.compile(lambda x: x * answer(), backend=counter)
    assert [float(compiled(torch.ones(()))) for _ in range(2)] == [3.0, 3.0]
    assert counter.frame_count == 1
    counter = CompileCounter()
    torch.compile(hidden, backend=counter)(torch.ones(()))
    assert (counter.frame_count, inside) == (0, [False])


def test_attributes_that_a_layer_reads_of_its_base_class() -> None:
    for kind in (nn.RNN, nn.GRU, nn.LSTM):
        layer = kind(3, 4, 2)
        assert layer._flat_weights_names == list(dict(layer.named_parameters()))
        assert all(a is b for a, b in zip(layer._flat_weights, layer.parameters(), strict=True))
        assert not layer._weights_have_changed()
        layer.weight_hh_l0 = nn.Parameter(torch.zeros(16 if kind is nn.LSTM else 12 if kind is nn.GRU else 4, 4))
        assert layer._flat_weights[1] is layer.weight_hh_l0  # as PyTorch's __setattr__ keeps the list


def test_a_call_goes_through_the_attribute_that_compile_sets() -> None:
    """``DeferredRestoration`` is present until a layer that torch.jit.script has compiled is used again."""
    module = nn.Linear(2, 2)
    module._compiled_call_impl = lambda *_: "called"
    assert module(torch.ones(2)) == "called"


@pytest.mark.parametrize("context", [nullcontext, lambda: saved_tensors_hooks(lambda x: x, lambda x: x)])
def test_layers_equal_pytorchs_under_hooks_on_saved_tensors(context: Callable[[], Any]) -> None:
    layer, x = layers.GRU(3, 4), torch.randn(5, 2, 3)
    with context():
        found = torch.autograd.grad(layer(x)[0].sum(), layer.get_parameter("weight_hh_l0"))[0]
    with use_backend("pytorch"):
        expected = torch.autograd.grad(layer(x)[0].sum(), layer.get_parameter("weight_hh_l0"))[0]
    torch.testing.assert_close(found, expected)
