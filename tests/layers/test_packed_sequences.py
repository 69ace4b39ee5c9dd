"""Packed sequences: results, gradients and errors of ``torch.nn``, each row as if it were alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from charloom import layers
from charloom.layers.read_weights import named_weights
from charloom.recurrence.native import native_direction
from charloom.recurrence.threads import use_threads
from examples import examples
from native import INSTRUCTION_SETS, Switch, switching
from torch_equivalent import CELLS

_NATIVE = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


def _parts(state: Any) -> tuple[Tensor, ...]:
    return () if state is None else state if isinstance(state, tuple) else (state,)


def _results(layer: Any, packed: PackedSequence, state: Any, slopes: Tensor) -> list[Tensor]:
    """Returns outputs, last state, and the gradients of inputs, initial state and parameters."""
    data = packed.data.detach().clone().requires_grad_()
    first = tuple(part.detach().to(data.dtype).requires_grad_() for part in _parts(state))
    given_state = None if state is None else first if isinstance(state, tuple) else first[0]
    outputs, last = layer(packed._replace(data=data), given_state)
    assert type(outputs) is PackedSequence
    assert all(a is b for a, b in zip(outputs[1:], packed[1:], strict=True))
    total = (outputs.data * slopes.to(data.dtype)).sum()
    for part in _parts(last):
        total = total + (part * torch.linspace(-1, 2, part.numel(), dtype=part.dtype).view(part.shape)).sum()
    return [outputs.data, *_parts(last), *torch.autograd.grad(total, [data, *first, *layer.parameters()])]


def _error(found: Tensor, exact: Tensor) -> float:
    """Returns the relative error, in norm."""
    return float((found.detach().double() - exact.detach()).norm() / (exact.detach().norm() + 1e-12))


def _random_state(layer: Any, batch: int) -> Any:
    zeros = layer.begin_state(batch)
    return tuple(torch.randn_like(z) for z in zeros) if isinstance(zeros, tuple) else torch.randn_like(zeros)


_LENGTHS = st.one_of(
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.builds(lambda length, batch: [length] * batch, st.integers(1, 5), st.integers(1, 20)),
    st.builds(lambda length, batch: [length] + [1] * batch, st.integers(1, 40), st.integers(0, 20)),
)


@settings(max_examples=examples(20))
@given(data=st.data())
def test_as_exact_as_pytorch(data: st.DataObject) -> None:
    """Within 1e-5 of the exact result, or about as near as PyTorch if a saturated tanh leaves few digits."""
    torch_class, our_class, options = data.draw(st.sampled_from(CELLS))
    size = st.sampled_from([1, 3, 8, 31, 32, 33, 65])
    input_size, hidden_size = data.draw(size), data.draw(size)
    options = options | {name: data.draw(st.booleans()) for name in ("bias", "bidirectional", "batch_first")}
    options["num_layers"] = data.draw(st.integers(1, 3))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    theirs = torch_class(input_size, hidden_size, **options)
    ours = our_class(input_size, hidden_size, **options)
    ours.load_state_dict(theirs.state_dict())
    exact = torch_class(input_size, hidden_size, dtype=torch.float64, **options)
    exact.load_state_dict(theirs.state_dict())
    lengths = data.draw(_LENGTHS)
    is_sorted = data.draw(st.booleans())
    lengths = sorted(lengths, reverse=True) if is_sorted else lengths
    packed = pack_sequence([torch.randn(length, input_size) for length in lengths], enforce_sorted=is_sorted)
    state = _random_state(ours, len(lengths)) if data.draw(st.booleans()) else None
    slopes = torch.randn(len(packed.data), hidden_size * (2 if options["bidirectional"] else 1))
    reference = _results(exact, packed._replace(data=packed.data.double()), state, slopes)
    pytorchs = _results(theirs, packed, state, slopes)
    with switching() as compute_by, use_threads(data.draw(st.integers(1, 3))):
        compute_by(data.draw(st.sampled_from(["reference", *INSTRUCTION_SETS])))
        found = _results(ours, packed, state, slopes)
        ours.precision = "bfloat16"
        rounded = _results(ours, packed, state, slopes)
    for ours_, theirs_, rounded_, exact_ in zip(found, pytorchs, rounded, reference, strict=True):
        assert ours_.shape == exact_.shape
        # Gradients are sums over steps and sequences, whose terms may cancel.
        rounding = 1e-6 * (len(packed.data) * exact_.numel()) ** 0.5 / (float(exact_.detach().norm()) + 1e-12)
        assert _error(ours_, exact_) <= max(1e-5, 10 * _error(theirs_, exact_), rounding)
        assert torch.isfinite(rounded_).all()


@_NATIVE
@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_bfloat16_is_within_two_percent(cell: int, kernels: str, compute_by: Switch) -> None:
    torch_class, our_class, options = CELLS[cell]
    compute_by(kernels)
    torch.manual_seed(cell)
    theirs = torch_class(17, 100, bidirectional=True, **options)
    ours = our_class(17, 100, bidirectional=True, **options)
    ours.load_state_dict(theirs.state_dict())
    ours.precision = "bfloat16"
    # Each number of rows from 1 to 40, so that rows start and end within a block of rows.
    packed = pack_sequence([torch.randn(length, 17) for length in range(1, 41)], enforce_sorted=False)
    slopes = torch.randn(len(packed.data), 200)
    pairs = zip(_results(ours, packed, None, slopes), _results(theirs, packed, None, slopes), strict=True)
    for found, expected in pairs:
        # If rounding moves a sum across zero, relu's slope jumps: no 8-bit mantissa is nearer there.
        assert _error(found, expected.double()) < (0.06 if options.get("nonlinearity") == "relu" else 0.02)


@_NATIVE
@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_a_row_has_the_bits_that_it_has_alone(cell: int, precision: Any, kernels: str, compute_by: Switch) -> None:
    _, our_class, options = CELLS[cell]
    compute_by(kernels)
    layer = our_class(9, 40, 2, bidirectional=True, **options)
    layer.precision = precision
    rows = [torch.randn(length, 9) for length in (3, 30, 1, 17, 17, *range(1, 20))]
    state = _random_state(layer, len(rows))
    packed = pack_sequence(rows, enforce_sorted=False)
    outputs, last = layer(packed, state)
    with torch.no_grad():
        again = layer(packed, state)
    assert torch.equal(again[0].data, outputs.data)
    padded, _ = pad_packed_sequence(outputs)
    for b, row in enumerate(rows):
        own = [part[:, b : b + 1] for part in _parts(state)]
        alone, own_last = layer(row.unsqueeze(1), tuple(own) if isinstance(state, tuple) else own[0])
        assert torch.equal(padded[: len(row), b], alone[:, 0])
        for found, with_gradients, expected in zip(_parts(again[1]), _parts(last), _parts(own_last), strict=True):
            assert torch.equal(found[:, b], expected[:, 0])
            assert torch.equal(with_gradients[:, b], expected[:, 0])


@_NATIVE
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_threads_change_no_bit(cell: int, precision: Any) -> None:
    _, our_class, options = CELLS[cell]
    layer = our_class(40, 70, 2, bidirectional=True, **options)
    layer.precision = precision
    packed = pack_sequence([torch.randn(length, 40) for length in range(1, 50, 2)], enforce_sorted=False)
    slopes, results = torch.randn(len(packed.data), 140), []
    for number in (1, 2, 3, 30):
        with use_threads(number):
            results.append(_results(layer, packed, None, slopes))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_gradients_of_gradients(cell: int, compute_by: Switch) -> None:
    _, our_class, options = CELLS[cell]
    layer = our_class(3, 4, 2, bidirectional=True, **options)
    packed = pack_sequence([torch.randn(length, 3) for length in (2, 5, 1)], enforce_sorted=False)
    x = packed.data.requires_grad_()
    results = []
    for path in ("auto", "pytorch"):
        compute_by(path)
        outputs, _ = layer(packed)
        (first,) = torch.autograd.grad(outputs.data.sin().sum(), x, create_graph=True)
        results.append([first, *torch.autograd.grad(first.square().sum(), [x, *layer.parameters()], allow_unused=True)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_dropout_has_the_mask_of_pytorch(cell: int) -> None:
    torch_class, our_class, options = CELLS[cell]
    theirs = torch_class(3, 4, 3, dropout=0.5, **options)
    ours = our_class(3, 4, 3, dropout=0.5, **options)
    ours.load_state_dict(theirs.state_dict())
    packed = pack_sequence([torch.randn(length, 3) for length in (2, 5, 1)], enforce_sorted=False)
    results = []
    for layer in (ours, theirs):
        torch.manual_seed(1)
        results.append(layer(packed)[0].data)
    torch.testing.assert_close(*results)
    assert not torch.allclose(ours(packed)[0].data, results[0])


@_NATIVE
def test_the_kernels_compute_packed_sequences() -> None:
    layer = layers.GRU(3, 4)
    packed = pack_sequence([torch.randn(2, 3), torch.randn(1, 3)])
    own = "_RecurrenceBackward"
    assert type(layer(packed)[0].data.grad_fn).__name__ == own
    other = type("Other", (PackedSequence,), {})(*packed)
    assert type(layer(other)[0].data.grad_fn).__name__ != own
    assert layer.double()(packed._replace(data=packed.data.double()))[0].data.dtype == torch.float64


def test_batch_sizes_may_change_before_backward() -> None:
    layer = layers.LSTM(3, 4)
    packed = pack_sequence([torch.randn(3, 3), torch.randn(1, 3)])
    outputs = layer(packed)[0].data.sum()
    expected = torch.autograd.grad(outputs, list(layer.parameters()), retain_graph=True)
    packed.batch_sizes.fill_(10**9)
    assert all(map(torch.equal, torch.autograd.grad(outputs, list(layer.parameters())), expected))


def _with_sizes(*sizes: int) -> Callable[[PackedSequence], PackedSequence]:
    return lambda packed: packed._replace(batch_sizes=torch.tensor(sizes, dtype=torch.int64))


# Made by hand from rows of 3 features with the batch sizes 2, 1, 1.
_HOSTILE: dict[str, Callable[[PackedSequence], PackedSequence]] = {
    "too many rows": _with_sizes(2, 2, 1),
    "far too many rows": _with_sizes(2**62, 2**62, 2**62, 2**62),
    "too few rows": _with_sizes(2, 1),
    "ascending": _with_sizes(1, 1, 2),
    "zero at the end": _with_sizes(2, 2, 0),
    "negative": _with_sizes(6, -1, -1),
    "no steps": _with_sizes(),
    "of two dimensions": lambda packed: packed._replace(batch_sizes=packed.batch_sizes.unsqueeze(0)),
    "a scalar": lambda packed: packed._replace(batch_sizes=torch.tensor(4)),
    "of float": lambda packed: packed._replace(batch_sizes=packed.batch_sizes.float()),
    "of int32": lambda packed: packed._replace(batch_sizes=packed.batch_sizes.int()),
    "strided": lambda packed: packed._replace(batch_sizes=torch.tensor([2, 9, 1, 9, 1, 9])[::2]),
    "data of three dimensions": lambda packed: packed._replace(data=packed.data.unsqueeze(1)),
    "data of one dimension": lambda packed: packed._replace(data=packed.data[:, 0]),
    "data with other features": lambda packed: packed._replace(data=torch.randn(4, 5)),
    "data of another dtype": lambda packed: packed._replace(data=packed.data.double()),
    "indices out of range": lambda packed: packed._replace(sorted_indices=torch.tensor([0, 7])),
    "too many indices": lambda packed: packed._replace(sorted_indices=torch.tensor([0, 1, 0])),
    "indices of float": lambda packed: packed._replace(sorted_indices=torch.tensor([0.0, 1.0])),
    "no permutation": lambda packed: packed._replace(
        sorted_indices=torch.tensor([1, 1]), unsorted_indices=torch.tensor([0, 0])
    ),
    "inverse out of range": lambda packed: packed._replace(unsorted_indices=torch.tensor([0, -3])),
}


def _outcome(layer: Any, packed: PackedSequence, state: Any) -> Any:
    try:
        outputs, last = layer(packed, state)
    except Exception as error:
        return type(error), str(error)
    return [outputs.data, *_parts(last)]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("hostile", _HOSTILE)
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_what_was_made_by_hand_has_the_outcome_of_pytorch(cell: int, hostile: str) -> None:
    torch_class, our_class, options = CELLS[cell]
    theirs, ours = torch_class(3, 4, **options), our_class(3, 4, **options)
    ours.load_state_dict(theirs.state_dict())
    packed = _HOSTILE[hostile](pack_sequence([torch.randn(3, 3), torch.randn(1, 3)]))
    for state in (None, _random_state(ours, 2)):
        found, expected = _outcome(ours, packed, state), _outcome(theirs, packed, state)
        assert isinstance(found, list) == isinstance(expected, list), (found, expected)
        if isinstance(found, tuple):
            assert found == expected
        else:
            torch.testing.assert_close(found, expected)


@_NATIVE
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("sizes", [(2, 2, 1), (2**62,) * 4, (2, 1), (1, 1, 2), (2, 2, 0), (6, -1, -1), (1, 1, 1, 1)])
def test_the_bindings_refuse_batch_sizes_that_do_not_fit(sizes: tuple[int, ...]) -> None:
    """The last check before the kernels: another thread may change the sizes after all others."""
    weights = named_weights(layers.GRU(3, 4))
    assert weights is not None
    for x in (torch.randn(4, 3), torch.randn(4, 3, requires_grad=True)):
        with pytest.raises(ValueError, match="batch sizes"):
            native_direction(
                "GRU",
                "float32",
                INSTRUCTION_SETS[-1],
                x,
                (torch.zeros(2, 4),),
                weights[0],
                batch_sizes=torch.tensor(sizes),
            )
