"""Settings that PyTorch's users enable around their calls: charloom's layers equal ``torch.nn``'s under them, too."""

# mypy: disallow-untyped-calls=False

import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import charloom
from torch_comparison import CELLS, Case, case_for, check, inputs_for
from torch_settings import SETTINGS
from torch_transforms import TRANSFORMS
from torch_use_table import USES
from torch_uses import total

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]

_ALWAYS = ("training", "no grad")
_IN_TURN = ("forward", "forward from a state", "backward twice", "gradient penalty", "packed")
_CORE = (*_ALWAYS, *_IN_TURN)


def _pairs() -> Iterator[tuple[str, str]]:
    """Yields for each setting a part of the core of the uses, and a smaller part of the others."""
    for i, setting in enumerate(SETTINGS):
        core = (*_ALWAYS, _IN_TURN[i % len(_IN_TURN)])
        for use in USES:
            if use in core or (use not in _CORE and zlib.crc32(f"{setting}|{use}".encode()) % 48 == 0):
                yield setting, use


@pytest.mark.parametrize(("setting", "use"), list(_pairs()))
def test_use_under_a_setting(setting: str, use: str) -> None:
    check(case_for(setting, use), [], USES[use], setting=SETTINGS[setting])


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_each_use_for_each_cell(setting: str, subtests: pytest.Subtests) -> None:
    for use in USES:
        with subtests.test(use=use):
            check(case_for(setting, use), [], USES[use], setting=SETTINGS[setting])
            for cell in CELLS:
                check(Case(cell, 40), [], USES[use], setting=SETTINGS[setting])
                check(Case(cell, 32, "all"), [], USES[use], setting=SETTINGS[setting])


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_each_transform_under_each_setting(setting: str, subtests: pytest.Subtests) -> None:
    for transform in TRANSFORMS:
        with subtests.test(transform=transform):
            for use in _CORE:
                check(case_for(setting, transform, use), [TRANSFORMS[transform]], USES[use], setting=SETTINGS[setting])


@pytest.mark.parametrize("cell", CELLS)
def test_operations_are_counted(cell: str) -> None:
    """The count equals that of PyTorch's path, or that of an operator with a formula."""
    counts = []
    for accelerated in (False, True):
        layer: Any = Case(cell, 40).layer()
        if accelerated:
            charloom.accelerate(layer)
        with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
            total(layer(inputs_for(layer))).backward()
        counts.append(counter.get_total_flops())
    assert counts[0] > 0
    assert counts[0] == counts[1]
