"""Transforms and uses of a layer: charloom's results equal those of ``torch.nn``, or both are refused alike.

A failure's name is the pair. Each pair comes with one cell, size and options, always the same; ``slow`` tries them all.
"""

# mypy: disallow-untyped-calls=False

import zlib
from collections.abc import Iterator

import pytest

from native import INSTRUCTION_SETS, Switch
from torch_comparison import CELLS, HIDDEN_SIZES, Case, case_for, check
from torch_rows import check_row
from torch_transforms import TRANSFORMS
from torch_use_table import USES
from torch_wrong_weights import WRONG_WEIGHTS

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]

_CORE = ("forward", "training", "backward twice", "gradient penalty step by step", "changed: outputs mul_")
_AFTER = ("forward", "training")


def _pairs() -> Iterator[tuple[str, str]]:
    """Yields for each transform the core of the uses and a part of the others."""
    for transform in TRANSFORMS:
        for use in USES:
            if transform == "as it is" or use in _CORE or zlib.crc32(f"{transform}|{use}".encode()) % 24 == 0:
                yield transform, use


@pytest.mark.parametrize(("transform", "use"), list(_pairs()))
def test_accelerated_then_transformed(transform: str, use: str) -> None:
    check_row(case_for(transform, use), use, transform)


@pytest.mark.parametrize("use", _AFTER)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transformed_then_accelerated(transform: str, use: str) -> None:
    check_row(case_for(use, transform), use, transform, last=True)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
def test_on_each_instruction_set(use: str, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    check_row(case_for(use, kernels), use)


@pytest.mark.parametrize("what", ["inputs", "state", "memory cell", "hidden weights", "input weights"])
@pytest.mark.parametrize("transform", ["frozen hidden weights", "frozen input weights", "frozen"])
@pytest.mark.parametrize("cell", CELLS)
def test_values_that_frozen_weights_do_not_need_may_change(cell: str, transform: str, what: str) -> None:
    check_row(Case(cell, 40), f"changed before backward: {what}", transform)


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_pair_for_each_cell_and_size(transform: str, use: str) -> None:
    for cell in CELLS:
        for size in HIDDEN_SIZES:
            options = case_for(transform, use, cell, str(size)).options
            check(Case(cell, size, options), [TRANSFORMS[transform]], USES[use])


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_pair_on_each_instruction_set(transform: str, use: str, compute_by: Switch) -> None:
    for kernels in INSTRUCTION_SETS:
        compute_by(kernels)
        check(case_for(transform, use, kernels), [TRANSFORMS[transform]], USES[use])
        check(case_for(transform, kernels, use), [TRANSFORMS[transform]], USES[use], last=True)


@pytest.mark.parametrize("use", ["forward", "no grad", "training"])
@pytest.mark.parametrize("transform", WRONG_WEIGHTS)
@pytest.mark.parametrize("cell", CELLS)
def test_weights_that_do_not_fit(cell: str, transform: str, use: str) -> None:
    """Compared with PyTorch's code without oneDNN, which reads past the ends of an LSTM's weights."""
    if cell == "lstm" and not INSTRUCTION_SETS:
        pytest.skip("PyTorch's own LSTM, with oneDNN, may crash")
    for size in (4, 32):
        check(Case(cell, size), [WRONG_WEIGHTS[transform]], USES[use], one_dnn=False)
