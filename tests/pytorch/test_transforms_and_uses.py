"""Whatever PyTorch's users do to a layer, and with it: charloom's gives what ``torch.nn``'s gives, or refuses it alike."""

import pytest

import torch_uses_of_arguments
import torch_uses_of_calls
import torch_uses_of_derivatives
import torch_uses_of_memory  # noqa: F401 - these fill the table
from torch_comparison import case_for, check
from torch_transforms import TRANSFORMS
from torch_uses import USES

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("unchecked")]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_accelerated_then_transformed(transform: str, use: str) -> None:
    check(case_for(transform, use), [TRANSFORMS[transform]], USES[use])
