"""Tensors whose memory was freed or shrunk are refused before PyTorch reads them."""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from charloom import layers
from charloom.recurrence.kernel_arguments import check_memory
from native import Switch
from torch_wrong_weights import with_memory


def test_only_tensors_whose_memory_is_too_small_are_refused() -> None:
    x = torch.zeros(3, 4)
    check_memory(x, x.int(), x[:, ::2], torch.zeros(0, 4), x.to("meta"), x.to_sparse(), None, "a string")
    for tensor in (with_memory(x, 0), with_memory(x, 40), with_memory(x.long(), 40)):
        with pytest.raises(RuntimeError, match="freed or shrunk"):
            check_memory(x, tensor)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("field", ["data", "batch_sizes", "sorted_indices"])
@pytest.mark.parametrize("path", ["auto", "pytorch"])
def test_packed_sequences_whose_memory_was_freed(path: str, field: str, compute_by: Switch) -> None:
    compute_by(path)
    packed = pack_sequence([torch.randn(2, 3), torch.randn(4, 3)], enforce_sorted=False)
    freed = packed._replace(**{field: with_memory(getattr(packed, field), 0)})
    with pytest.raises(RuntimeError, match="freed or shrunk"):
        layers.GRU(3, 4)(freed)
