"""PyTorch's own test samples for its layers, given to charloom's: unchanged, and as a batch."""

# mypy: disallow-untyped-calls=False

import copy
import importlib
import importlib.util
import pickle
import sys
import types
import unittest
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import charloom
from torch_comparison import differing, outcome
from torch_uses import leaves, total

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]

_KINDS = (nn.RNN, nn.GRU, nn.LSTM)


@pytest.fixture(scope="module")
def samples_of() -> Any:
    """Returns PyTorch's test inputs for the three layers; they are private: another version may lack them."""
    try:
        # PyTorch's tests take a base class from it. The fixture may be made twice in a process, stub included.
        if "expecttest" not in sys.modules and importlib.util.find_spec("expecttest") is None:
            stand_in: Any = types.ModuleType("expecttest")
            stand_in.TestCase = unittest.TestCase
            sys.modules["expecttest"] = stand_in
        generator_state = torch.get_rng_state()
        modules = importlib.import_module("torch.testing._internal.common_modules")
        torch.set_rng_state(generator_state)
        return {info.module_cls: info for info in modules.module_db if info.module_cls in _KINDS}
    except (ImportError, AttributeError) as error:
        pytest.skip(f"this PyTorch does not ship its module tests' samples: {error}")


def _samples(info: Any, dtype: torch.dtype, training: bool = True) -> list[Any]:
    torch.manual_seed(0)
    return list(
        info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        + info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=True, training=training, with_packed_sequence=True
        )
    )


def _made(sample: Any, kind: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """Returns two equal layers: PyTorch's and an accelerated one."""
    torch.manual_seed(1)
    theirs = kind(*sample.constructor_input.args, **{**sample.constructor_input.kwargs, "dtype": dtype})
    return theirs, charloom.accelerate(copy.deepcopy(theirs))


def _fresh(arguments: Any) -> Any:
    """Returns copies of the arguments as leaves."""
    if isinstance(arguments, Tensor):
        return arguments.detach().clone().requires_grad_()
    if isinstance(arguments, PackedSequence):
        return arguments
    return tuple(_fresh(part) for part in arguments)


def _batched(arguments: Any, batch_first: bool, state: bool = False) -> Any:
    """Returns a sample without a batch dimension as a batch of three."""
    if isinstance(arguments, Tensor):
        return torch.stack([arguments * factor for factor in (1, 2, 3)], 0 if batch_first and not state else 1)
    return tuple(_batched(part, batch_first, state) for part in arguments)


def _differentiated(module: Any, arguments: Any) -> Any:
    arguments = _fresh(arguments)
    outputs, state = module(*arguments)
    outputs = outputs.data if isinstance(outputs, PackedSequence) else outputs
    given = [a.data if isinstance(a, PackedSequence) else a for a in arguments]
    wanted = [*module.parameters(), *[t for t in leaves(tuple(given)) if t.requires_grad]]
    return outputs, state, torch.autograd.grad(total((outputs, state)), wanted, allow_unused=True)


def _sets_of_arguments(sample: Any) -> list[Any]:
    arguments, batch_first = sample.forward_input.args, sample.constructor_input.kwargs["batch_first"]
    if isinstance(arguments[0], PackedSequence):
        return [arguments]
    return [
        arguments,
        (_batched(arguments[0], batch_first), *(_batched(part, batch_first, state=True) for part in arguments[1:])),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", _KINDS)
def test_forward_and_gradients(kind: Any, dtype: torch.dtype, samples_of: Any) -> None:
    samples = _samples(samples_of[kind], dtype)
    assert len(samples) > 20
    for sample in samples:
        theirs, ours = _made(sample, kind, dtype)
        for arguments in _sets_of_arguments(sample):
            differences = differing(_differentiated(ours, arguments), _differentiated(theirs, arguments))
            assert not list(differences), (sample.constructor_input.kwargs, *differences)


@pytest.mark.parametrize("kind", _KINDS)
def test_references(kind: Any, samples_of: Any) -> None:
    """A sample's own reference gives the same, by way of a batch."""
    for sample in _samples(samples_of[kind], torch.float32):
        _, ours = _made(sample, kind, torch.float32)
        if isinstance(sample.forward_input.args[0], PackedSequence):
            continue
        found = ours(*sample.forward_input.args)
        assert not list(differing(found, sample.reference_fn(ours, *sample.forward_input.args)))


@pytest.mark.parametrize("kind", _KINDS)
def test_pickled_copied_converted_and_switched(kind: Any, samples_of: Any) -> None:
    for sample in _samples(samples_of[kind], torch.float32)[::3]:
        arguments = _sets_of_arguments(sample)[-1]
        theirs, ours = _made(sample, kind, torch.float32)
        expected = outcome(_differentiated, theirs, arguments)
        assert repr(ours) == repr(theirs)
        changed = (
            pickle.loads(pickle.dumps(ours)),
            copy.deepcopy(ours),
            copy.deepcopy(ours).double().float(),
            copy.deepcopy(ours).eval().train(),
            copy.deepcopy(ours).eval(),
            copy.deepcopy(ours).to(memory_format=torch.preserve_format),
            copy.deepcopy(ours).share_memory(),
        )
        for module in changed:
            assert isinstance(module, charloom.layers.RecurrentLayer)
            assert not list(differing(_differentiated(module, arguments), expected))


@pytest.mark.parametrize("kind", _KINDS)
def test_invalid_inputs_are_refused_alike(kind: Any, samples_of: Any) -> None:
    info = samples_of[kind]
    errors = info.module_error_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=False, training=True)
    assert errors
    for error in errors:
        sample = error.module_error_input
        refused = [
            outcome(lambda made=made, sample=sample: made()(*sample.forward_input.args))
            for made in (
                lambda sample=sample: kind(*sample.constructor_input.args, **sample.constructor_input.kwargs),
                lambda sample=sample: charloom.accelerate(
                    kind(*sample.constructor_input.args, **sample.constructor_input.kwargs)
                ),
            )
        ]
        assert isinstance(refused[0].kind, type)
        assert not list(differing(refused[1], refused[0]))
