"""Calls without a backward pass: PyTorch's results, and the same bits for every batch, chunking and thread count."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from charloom import layers
from charloom.recurrence import inference
from charloom.recurrence.threads import use_threads
from charloom.recurrence.torch_internals import can_autocast_lstm
from examples import examples
from native import INSTRUCTION_SETS, switching
from torch_equivalent import CELLS, torch_equivalent

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
_SIZES = st.sampled_from([1, 2, 5, 8, 15, 16, 31, 32, 33, 40, 63, 64, 70])


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.fixture
def native_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Records of each call of ``infer`` whether the kernels took it."""
    calls: list[bool] = []

    def infer(*arguments: Any) -> Any:
        found = inference.infer(*arguments)
        calls.append(found is not None)
        return found

    monkeypatch.setattr("charloom.layers.recurrent_layer.infer", infer)
    return calls


@settings(max_examples=examples(60))
@given(data=st.data())
def test_equal_to_pytorch_and_to_the_last_bit_for_every_batch_and_chunking(data: st.DataObject) -> None:
    _, layer_class, options = data.draw(st.sampled_from(CELLS))
    options = options | {
        "num_layers": data.draw(st.integers(1, 3)),
        "bias": data.draw(st.booleans()),
        "batch_first": data.draw(st.booleans()),
        "bidirectional": data.draw(st.booleans()),
    }
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    layer = layer_class(data.draw(_SIZES), data.draw(_SIZES), **options)
    layer.precision = data.draw(st.sampled_from(["float32", "float32", "bfloat16", "int8"]))
    exact = layer.precision == "float32"
    steps, batch = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 20))
    inputs = torch.randn(steps, batch, layer.input_size)
    state: Any = None
    if data.draw(st.booleans()):
        zeros = layer.begin_state(batch)
        state = tuple(map(torch.randn_like, zeros)) if isinstance(zeros, tuple) else torch.randn_like(zeros)

    def call(inputs: Tensor, state: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        outputs, last = layer(inputs.transpose(0, 1) if layer.batch_first else inputs, state)
        return outputs.transpose(0, 1) if layer.batch_first else outputs, _parts(last)

    with switching() as compute_by, torch.no_grad():
        compute_by(data.draw(st.sampled_from(INSTRUCTION_SETS)))
        with use_threads(data.draw(st.sampled_from([1, 1, 2, 3]))):
            found, last = call(inputs, state)
        if exact:
            theirs = torch_equivalent(layer)
            expected, expected_last = theirs(
                (inputs.transpose(0, 1) if layer.batch_first else inputs).double(),
                None
                if state is None
                else tuple(p.double() for p in state)
                if isinstance(state, tuple)
                else state.double(),
            )
            expected = expected.transpose(0, 1) if layer.batch_first else expected
            for ours, other in zip((found, *last), (expected, *_parts(expected_last)), strict=True):
                torch.testing.assert_close(ours.double(), other, rtol=1e-4, atol=1e-5)
        # A row by itself.
        row = data.draw(st.integers(0, batch - 1))
        one: Any = None if state is None else tuple(p[:, row : row + 1].contiguous() for p in _parts(state))
        one = one if one is None or len(one) == 2 else one[0]
        alone, alone_last = call(inputs[:, row : row + 1].contiguous(), one)
        assert torch.equal(alone[:, 0], found[:, row])
        assert all(torch.equal(a[:, 0], b[:, row]) for a, b in zip(alone_last, last, strict=True))
        # In several calls.
        if not layer.bidirectional:
            cut = data.draw(st.integers(0, steps))
            chunks, running = [], state
            for chunk in (inputs[:cut], inputs[cut:]):
                if len(chunk):
                    outputs, parts = call(chunk, running)
                    chunks.append(outputs)
                    running = parts if len(parts) == 2 else parts[0]
            assert torch.equal(torch.cat(chunks), found)
            assert all(torch.equal(a, b) for a, b in zip(_parts(running), last, strict=True))


@torch.no_grad()
def test_plain_calls_are_one_native_call(native_calls: list[bool]) -> None:
    """With every option of the layer; otherwise the tests above would test PyTorch."""
    for batch_first in (False, True):
        layer = layers.LSTM(3, 8, 2, batch_first=batch_first, bidirectional=True)
        layer(torch.randn(1, 1, 3))
        layer(torch.randn(1, 1, 3), layer.begin_state(1))
    layers.GRU(3, 8, bias=False)(torch.randn(4, 2, 3))
    with torch.inference_mode():
        assert layers.RNN(3, 8)(torch.randn(4, 2, 3))[0].is_inference()
    assert native_calls == [True] * 6


def _shrunk(tensor: Tensor) -> Tensor:
    tensor.untyped_storage().resize_(8)
    return tensor


class _Subclass(Tensor):
    pass


_UNUSUAL: dict[str, Callable[[Tensor], Any]] = {
    "double": lambda t: t.double(),
    "strided": lambda t: torch.stack([t, t], -1)[..., 0],
    "a lazy negative view": lambda t: torch.complex(t, t).conj().imag,
    "a subclass": lambda t: t.as_subclass(_Subclass),
    "on another device": lambda t: t.to("meta"),
    "nested": lambda t: torch.nested.nested_tensor([t[0], t[0]]),
    "sparse": lambda t: t.to_sparse(),
    "an array": lambda t: t.numpy(),
    "without memory": _shrunk,
    "of another shape": lambda t: torch.cat([t, t], -1),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", [*_UNUSUAL])
@pytest.mark.parametrize("argument", ["input", "state", "weight"])
@torch.no_grad()
def test_unusual_tensors_give_pytorchs_result_or_error(argument: str, kind: str, native_calls: list[bool]) -> None:
    torch.manual_seed(0)
    results = []
    for module in (layers, nn):
        torch.manual_seed(1)
        layer: Any = module.GRU(4, 4)
        inputs, state = torch.randn(3, 2, 4), torch.randn(1, 2, 4)
        try:
            if argument == "input":
                inputs = _UNUSUAL[kind](inputs)
            elif argument == "state":
                state = _UNUSUAL[kind](state)
            else:
                # Past Module.__setattr__, which accepts parameters only.
                unusual = _UNUSUAL[kind](layer.weight_hh_l0.detach())
                del layer._parameters["weight_hh_l0"]
                vars(layer)["weight_hh_l0"] = layer._flat_weights[1] = unusual
            if kind == "without memory" and module is nn:
                results.append("refused")  # PyTorch itself reads freed memory
                continue
            results.append(layer(inputs, state)[0])
        except Exception:
            results.append("refused")
    ours, theirs = results
    if isinstance(theirs, str):
        assert isinstance(ours, str)
    elif theirs.is_meta:
        assert ours.is_meta
    else:
        torch.testing.assert_close(ours, theirs, check_stride=False)
    # Strided tensors are copied.
    assert any(native_calls) == (kind == "strided")


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_whatever_records_operators_sees_them(native_calls: list[bool]) -> None:
    layer, inputs = layers.LSTM(3, 4), torch.randn(2, 1, 3)
    with torch.profiler.profile() as profile:
        layer(inputs)
    assert len(profile.events())
    with torch.autocast("cpu"):
        # PyTorch computes it, without oneDNN in float32.
        assert layer(inputs)[0].dtype is (torch.bfloat16 if can_autocast_lstm() else torch.float32)
    with torch.device("cpu"):  # a mode of __torch_function__
        layer(inputs)
    traced = torch.jit.trace(layer, (inputs,), check_trace=False)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(inputs)[0], layer(inputs)[0])
    with pytest.raises(RuntimeError, match="Batching rule"):  # of PyTorch, which has none for its layers
        torch.vmap(lambda x: layer(x)[0])(torch.randn(5, 2, 1, 3))
    assert native_calls == [True]  # the plain call after tracing alone


@torch.no_grad()
def test_dropout_is_drawn_as_by_pytorch_in_training_mode() -> None:
    torch.manual_seed(0)
    ours = layers.GRU(4, 8, 2, dropout=0.5)
    inputs = torch.randn(5, 3, 4)
    assert not torch.equal(ours(inputs)[0], ours(inputs)[0])
    assert torch.equal(ours.eval()(inputs)[0], ours(inputs)[0])


@torch.no_grad()
def test_results_are_new_tensors() -> None:
    """Neither inputs nor states share memory with results, and a later call leaves them as they are."""
    layer = layers.LSTM(3, 8)
    state = layer.begin_state(2)
    outputs, last = layer(torch.randn(1, 2, 3), state)
    kept = [outputs.clone(), *(part.clone() for part in last)]
    layer(torch.randn(1, 2, 3), last)
    assert all(torch.equal(a, b) for a, b in zip(kept, (outputs, *last), strict=True))
    addresses = {t.untyped_storage().data_ptr() for t in (outputs, *last, *state)}
    assert len(addresses) == 5
    outputs.resize_(1000)  # as resizable as PyTorch's
    buffer = io.BytesIO()
    torch.save(last, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer)[0], last[0])


@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize("bits", [-1, 0x7FC00001, 0x7FFFFFFF, 0x7F800001])
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_a_nan_with_any_payload_stays_visible(cell: int, bits: int, with_gradients: bool, kernels: str) -> None:
    """For example -1: memory whose bits are all set."""
    _, our_class, options = CELLS[cell]
    layer = our_class(3, 5, **options)
    with torch.no_grad():
        layer.bias_hh_l0[1::5] = torch.tensor(bits, dtype=torch.int32).view(torch.float32)
    with switching() as compute_by, torch.set_grad_enabled(with_gradients):
        compute_by(kernels)
        outputs, _ = layer(torch.randn(4, 3, 3))
    assert outputs[0, :, 1].isnan().all()
    assert outputs[1:].isnan().all()


@torch.no_grad()
def test_no_input_raises_the_error_of_pytorch() -> None:
    nothing: Any = None
    for kind in (layers, nn):
        with pytest.raises(AttributeError):
            kind.LSTM(3, 4)(nothing)
