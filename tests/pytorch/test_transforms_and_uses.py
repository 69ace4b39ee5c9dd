"""Transforms and uses of a layer: charloom's results equal those of ``torch.nn``, or both are refused alike.

A failure's name is the pair. Each pair comes with one cell, size and options, always the same; ``slow`` tries them all.
"""

# mypy: disallow-untyped-calls=False

import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from native import INSTRUCTION_SETS, Switch
from torch_comparison import CELLS, HIDDEN_SIZES, Case, case_for, check
from torch_rows import check_row
from torch_transforms import TRANSFORMS
from torch_use_table import USES
from torch_wrong_weights import WRONG_WEIGHTS

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]

_ALWAYS = ("forward", "training")
_IN_TURN = ("backward twice", "gradient penalty step by step", "changed: outputs mul_")
_CORE = (*_ALWAYS, *_IN_TURN)


def _pairs() -> Iterator[tuple[str, str]]:
    """Yields for each transform a part of the core of the uses, and a smaller part of the others."""
    for i, transform in enumerate(TRANSFORMS):
        core = (*_ALWAYS, _IN_TURN[i % len(_IN_TURN)])
        for use in USES:
            is_other = use not in _CORE and zlib.crc32(f"{transform}|{use}".encode()) % 48 == 0
            if transform == "as it is" or use in core or is_other:
                yield transform, use


def _uses_on_instruction_sets() -> Iterator[tuple[str, str]]:
    """Yields each use with one instruction set, and the core of the uses with all."""
    for i, use in enumerate(USES):
        for j, kernels in enumerate(INSTRUCTION_SETS):
            if use in _CORE or i % len(INSTRUCTION_SETS) == j:
                yield use, kernels


def _wrong_weights() -> Iterator[Any]:
    """Yields all combinations; those that are not ``slow`` have a cell for each transform and use, and the LSTM."""
    for transform in WRONG_WEIGHTS:
        for number, use in enumerate(("forward", "no grad", "training")):
            for i, cell in enumerate(CELLS):
                in_turn = (zlib.crc32(transform.encode()) + number) % len(CELLS) == i
                is_chosen = in_turn or (cell, use) == ("lstm", "forward")
                yield pytest.param(cell, transform, use, marks=[] if is_chosen else pytest.mark.slow)


@pytest.mark.parametrize(("transform", "use"), list(_pairs()))
def test_accelerated_then_transformed(transform: str, use: str) -> None:
    check_row(case_for(transform, use), use, transform)


@pytest.mark.parametrize("use", _ALWAYS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transformed_then_accelerated(transform: str, use: str) -> None:
    check_row(case_for(use, transform), use, transform, last=True)


@pytest.mark.parametrize(("use", "kernels"), list(_uses_on_instruction_sets()))
def test_on_each_instruction_set(use: str, kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    check_row(case_for(use, kernels), use)


@pytest.mark.parametrize("what", ["inputs", "state", "memory cell", "hidden weights", "input weights"])
@pytest.mark.parametrize("transform", ["frozen hidden weights", "frozen input weights", "frozen"])
@pytest.mark.parametrize("cell", CELLS)
def test_values_that_frozen_weights_do_not_need_may_change(cell: str, transform: str, what: str) -> None:
    check_row(Case(cell, 40), f"changed before backward: {what}", transform)


@pytest.mark.slow
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_pair_for_each_cell_and_size(transform: str, subtests: pytest.Subtests) -> None:
    for use in USES:
        with subtests.test(use=use):
            check_row(case_for(transform, use), use, transform)
            for cell in CELLS:
                for size in HIDDEN_SIZES:
                    options = case_for(transform, use, cell, str(size)).options
                    check(Case(cell, size, options), [TRANSFORMS[transform]], USES[use])


@pytest.mark.slow
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("kernels", INSTRUCTION_SETS)
def test_each_pair_on_each_instruction_set(
    kernels: str, transform: str, compute_by: Switch, subtests: pytest.Subtests
) -> None:
    compute_by(kernels)
    for use in USES:
        with subtests.test(use=use):
            if transform == "as it is":
                check_row(case_for(use, kernels), use)
            check(case_for(transform, use, kernels), [TRANSFORMS[transform]], USES[use])
            check(case_for(transform, kernels, use), [TRANSFORMS[transform]], USES[use], last=True)


@pytest.mark.parametrize(("cell", "transform", "use"), list(_wrong_weights()))
def test_weights_that_do_not_fit(cell: str, transform: str, use: str) -> None:
    """Compared with PyTorch's code without oneDNN, which reads past the ends of an LSTM's weights."""
    if cell == "lstm" and not INSTRUCTION_SETS:
        pytest.skip("PyTorch's own LSTM, with oneDNN, may crash")
    for size in (4, 32):
        check(Case(cell, size), [WRONG_WEIGHTS[transform]], USES[use], one_dnn=False)
