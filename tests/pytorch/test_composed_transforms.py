"""Transforms composed in any order, under any setting: most of these combinations are otherwise untested."""

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from torch_comparison import ALL_CASES, Case, check
from torch_graphs import GRAPHS
from torch_settings import SETTINGS
from torch_transforms import TRANSFORMS
from torch_use_table import USES

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]

# FakeTensorMode and a default device change tensors that the rows keep between calls.
_SETTINGS = sorted(SETTINGS.keys() - {"fake tensors", "default device meta"})
_STEPS = {**TRANSFORMS, **GRAPHS}


def _compared(case: Case, names: list[str], use: str, last: bool, setting: str | None) -> None:
    options = {"setting": SETTINGS[setting]} if setting else {}
    graph = any(name in GRAPHS for name in names)
    # In a graph an LSTM's arguments are not validated, and oneDNN reads past the ends of those that do not fit.
    with torch.backends.mkldnn.flags(enabled=not graph):
        steps = [_STEPS[name] for name in names]
        check(case, steps, USES[use], last=last and not graph, one_dnn=not graph, **options)


_composed = given(
    case=st.sampled_from(ALL_CASES),
    names=st.lists(st.sampled_from(sorted(_STEPS)), min_size=2, max_size=3),
    use=st.sampled_from(sorted(USES)),
    last=st.booleans(),
    setting=st.none() | st.sampled_from(_SETTINGS),
)


@settings(max_examples=100, derandomize=True, phases=[Phase.generate, Phase.shrink])
@_composed
def test_transforms_composed(case: Case, names: list[str], use: str, last: bool, setting: str | None) -> None:
    _compared(case, names, use, last, setting)


@pytest.mark.slow
@settings(max_examples=5000)
@_composed
def test_many_transforms_composed(case: Case, names: list[str], use: str, last: bool, setting: str | None) -> None:
    _compared(case, names, use, last, setting)
