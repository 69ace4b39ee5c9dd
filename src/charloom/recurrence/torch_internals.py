"""PyTorch's private parts: all that charloom asks of them, one small function each.

``tests/recurrence/test_torch_internals.py`` fails if PyTorch changes one of them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules import module as torch_module
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer, optimizer

_Function = TypeVar("_Function", bound=Callable[..., Any])


def constant_for_compiler(function: _Function) -> _Function:
    """Has torch.compile take what a function answers, and not trace it.

    As ``torch.compiler.assume_constant_result``, which would import the compiler for everyone.
    """
    vars(function)["_dynamo_marked_constant"] = True
    return function


def hidden_from_compiler(function: _Function) -> _Function:
    """Has torch.compile run a function, and what it calls, as it is.

    Else it compiles an operator's own Python where that runs outside a graph, and hands the kernels sizes as symbols.
    As ``torch.compiler.disable``, which would import the compiler for everyone.
    """
    try:
        compiler: Any = torch._C._dynamo.eval_frame
        skip, plain = compiler._FrameAction.SKIP, cast(FunctionType, function)
        compiler.set_code_exec_strategy(plain.__code__, compiler._FrameExecStrategy(skip, skip))
    except AttributeError:  # PyTorch's own affair: nothing else depends on it
        pass
    return function


@constant_for_compiler
def is_transformed() -> bool:
    """True inside a function transform (``torch.func``)."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def is_differentiated() -> bool:
    """True inside a function transform or forward-mode differentiation."""
    return is_transformed() or forward_ad._current_level >= 0


def is_observed() -> bool:
    """True inside a function transform, forward-mode differentiation, a dispatch mode, or ``torch.jit.trace``."""
    return (
        is_differentiated()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._dispatch_tls_is_dispatch_key_included(torch._C.DispatchKey.PreDispatch)  # of make_fx, torch.export
        or torch._C._get_tracing_state() is not None
    )


def is_batched(tensor: Tensor) -> bool:
    """True under ``vmap``, PyTorch's present one or the one that ``is_grads_batched`` uses."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


def is_wrapped(tensor: Tensor) -> bool:
    """True for a tensor of a function transform."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def has_saved_tensor_hooks() -> bool:
    """True within ``torch.autograd.graph.saved_tensors_hooks``."""
    hooks: Any = torch._C._autograd._top_saved_tensors_default_hooks(False)  # False: while tracing too
    return hooks is not None


def keeps_graph() -> bool:
    """Tells, in a backward pass, if what was saved for it may be read again (``retain_graph``)."""
    return torch._C._autograd._get_current_graph_task_keep_graph()


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor has been written to; None if nobody counts, as in inference mode."""
    return None if tensor.is_inference() else tensor._version


def are_hooked(modules: Iterable[nn.Module | None]) -> bool:
    """True if a hook listens to a call of these modules themselves, forward or backward, theirs or everyone's."""
    everyones: Any = torch_module._has_any_global_hook()  # type: ignore[no-untyped-call] # torch's
    return bool(everyones) or any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
        for part in modules
        if part is not None
    )


def has_gradient_hooks(parameter: Tensor) -> bool:
    """Tells if a hook waits for a parameter's gradient.

    Hooks on the nodes that accumulate gradients (``parameter.view_as(parameter).grad_fn.next_functions``) are not seen.
    """
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)


def has_step_hooks(of: Optimizer) -> bool:
    """Tells if a hook waits for an optimizer's step, its own or everyone's."""
    own = of._optimizer_step_pre_hooks or of._optimizer_step_post_hooks
    return bool(own or optimizer._global_optimizer_pre_hooks or optimizer._global_optimizer_post_hooks)


def is_in_distributed_forward() -> bool:
    """True within the forward of ``DistributedDataParallel``."""
    return DistributedDataParallel._active_ddp_module is not None


_one_dnn_lock = threading.RLock()


@contextmanager
def without_one_dnn() -> Iterator[None]:
    """Switches oneDNN off. The flag is the process's, so that threads must not put each other's value back."""
    with _one_dnn_lock:
        before = torch._C._get_mkldnn_enabled()
        torch._C._set_mkldnn_enabled(False)  # torch.backends.mkldnn.flags sets other flags too, and warns of one
        try:
            yield
        finally:
            torch._C._set_mkldnn_enabled(before)
