"""PyTorch's private functions and attributes that charloom uses, each in one small function.

``tests/recurrence/test_torch_internals.py`` fails if PyTorch changes one of them.
"""

import functools
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
    """Marks a function whose result torch.compile takes as a constant, without tracing the function."""
    # torch.compiler.assume_constant_result does the same, but imports the compiler in every process.
    vars(function)["_dynamo_marked_constant"] = True
    return function


def hidden_from_compiler(function: _Function) -> _Function:
    """Marks a function that torch.compile runs uncompiled, with all functions that it calls."""
    # Otherwise torch.compile compiles an operator's Python code that runs outside a graph, and passes symbolic sizes to
    # the kernels. torch.compiler.disable has the same effect, but imports the compiler in every process.
    try:
        compiler: Any = torch._C._dynamo.eval_frame
        skip, plain = compiler._FrameAction.SKIP, cast(FunctionType, function)
        compiler.set_code_exec_strategy(plain.__code__, compiler._FrameExecStrategy(skip, skip))
    except AttributeError:  # a PyTorch without these names; only torch.compile needs the mark
        pass
    return function


@constant_for_compiler
def is_transformed() -> bool:
    """Returns True inside a function transform (``torch.func``)."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def is_differentiated() -> bool:
    """Returns True inside a function transform or forward-mode differentiation."""
    # Forward-mode differentiation alone puts no interpreter on functorch's stack.
    return is_transformed() or forward_ad._current_level >= 0


def is_observed() -> bool:
    """Returns True inside a function transform, forward-mode differentiation, a dispatch mode, or ``torch.jit.trace``.

    Each of them replaces or records PyTorch's operators, and would not see a native kernel.
    """
    return (
        is_differentiated()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._dispatch_tls_is_dispatch_key_included(torch._C.DispatchKey.PreDispatch)  # of make_fx, torch.export
        or torch._C._get_tracing_state() is not None
    )


def is_recorded() -> bool:
    """Returns True if anything replaces, records or reports the calls of PyTorch's functions and operators.

    Unlike ``is_observed``, this includes modes of ``__torch_function__``, autocast, ``torch.export`` and the profiler:
    a native call without an operator would escape them.
    """
    # Names of this module, in one expression: lookups in torch._C add to the time of each step of a stream.
    return (
        _interpreters() is not None
        or forward_ad._current_level >= 0
        or _num_dispatch_modes() > 0
        or _num_function_modes() > 0
        or _is_key_included(_PRE_DISPATCH)
        or _tracing_state() is not None
        or _is_profiled()
        or _is_autocast_enabled("cpu")
        or torch.compiler.is_exporting()
    )


_interpreters = torch._C._functorch.peek_interpreter_stack
_num_dispatch_modes = torch._C._len_torch_dispatch_stack
_num_function_modes = torch._C._len_torch_function_stack
_is_key_included = torch._C._dispatch_tls_is_dispatch_key_included
_PRE_DISPATCH = torch._C.DispatchKey.PreDispatch
_tracing_state = torch._C._get_tracing_state
_is_profiled = torch._C._autograd._profiler_enabled
_is_autocast_enabled = torch.is_autocast_enabled


def is_batched(tensor: Tensor) -> bool:
    """Returns True for a tensor of ``vmap``, either PyTorch's present one or the one of ``is_grads_batched``."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)


def is_wrapped(tensor: Tensor) -> bool:
    """Returns True for a tensor of a function transform."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def has_saved_tensor_hooks() -> bool:
    """Returns True within ``torch.autograd.graph.saved_tensors_hooks``."""
    # The argument ignore_is_tracing: hooks are reported while tracing too.
    hooks: Any = torch._C._autograd._top_saved_tensors_default_hooks(False)
    return hooks is not None


def keeps_graph() -> bool:
    """Returns True in a backward pass after which the saved tensors may be read again (``retain_graph``)."""
    return torch._C._autograd._get_current_graph_task_keep_graph()


def version_of(tensor: Tensor) -> int | None:
    """Returns a tensor's version counter, which in-place operations increase; None for an inference tensor."""
    return None if tensor.is_inference() else tensor._version


def are_hooked(modules: Iterable[nn.Module | None]) -> bool:
    """Returns True if a call of one of these modules runs a hook: forward or backward, its own or a global one."""
    everyones: Any = torch_module._has_any_global_hook()  # type: ignore[no-untyped-call] # torch's
    return bool(everyones) or any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
        for part in modules
        if part is not None
    )


def are_compiled(modules: Iterable[nn.Module | None]) -> bool:
    """Returns True if a call of one of these modules runs what ``module.compile()`` made of it."""
    return any(part._compiled_call_impl is not None for part in modules if part is not None)


def has_gradient_hooks(parameter: Tensor) -> bool:
    """Returns True if a hook is registered for a parameter's gradient.

    Hooks on the nodes that accumulate gradients (``parameter.view_as(parameter).grad_fn.next_functions``) are not
    found.
    """
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)


def has_step_hooks(of: Optimizer) -> bool:
    """Returns True if a hook is registered for an optimizer's step, its own or a global one."""
    own = of._optimizer_step_pre_hooks or of._optimizer_step_post_hooks
    everyones = {*optimizer._global_optimizer_pre_hooks.values(), *optimizer._global_optimizer_post_hooks.values()}
    return bool(own or everyones - _own_hooks)


_own_hooks: set[Callable[..., None]] = set()


@functools.cache
def watch_fused_steps(listener: Callable[[list[Tensor]], None]) -> None:
    """Calls a function before and after each later step of an optimizer in this process, with its fused parameters.

    PyTorch's fused operators change parameters without raising their version, unlike all its other optimizers.
    """

    def hook(of: Optimizer, *_: Any) -> None:
        fused = [p for group in of.param_groups if group.get("fused") for p in group["params"]]
        if fused:
            listener(fused)

    _own_hooks.add(hook)
    # Before, for hooks that read the model and run before the one after the step; and if one of them raises an error.
    optimizer.register_optimizer_step_pre_hook(hook)
    optimizer.register_optimizer_step_post_hook(hook)


def is_in_distributed_forward() -> bool:
    """Returns True within the forward of ``DistributedDataParallel``."""
    return DistributedDataParallel._active_ddp_module is not None


def can_autocast_lstm() -> bool:
    """Returns False if oneDNN cannot compute an LSTM in the dtype of autocast on this processor.

    PyTorch checks this for weights and inputs of that dtype, but not for autocast, whose LSTM then raises RuntimeError.
    """
    if not torch.is_autocast_enabled("cpu") or not torch._C._has_mkldnn:
        return True
    # Processors that support float16 for other operations may not have it for LSTMs.
    if torch.get_autocast_dtype("cpu") == torch.float16:
        return False
    return torch.get_autocast_dtype("cpu") != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


_one_dnn_lock = threading.RLock()


@contextmanager
def without_one_dnn() -> Iterator[None]:
    """Switches oneDNN off within the context."""
    # The flag belongs to the process: a thread could otherwise restore a value that another one has set meanwhile.
    with _one_dnn_lock:
        before = torch._C._get_mkldnn_enabled()
        # torch.backends.mkldnn.flags sets other flags too, and warns about one of them.
        torch._C._set_mkldnn_enabled(False)
        try:
            yield
        finally:
            torch._C._set_mkldnn_enabled(before)
