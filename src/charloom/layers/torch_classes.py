"""The recurrent layers of ``torch.nn`` by mode, as they were at import."""

from torch import nn

from charloom_codec.cells import CELLS

TORCH_CLASSES: dict[str, type[nn.RNNBase]] = {cell.mode: getattr(nn, cell.layer) for cell in CELLS}
"""Classes by ``torch.nn.RNNBase.mode``."""
# To detect that a method has been replaced since.
_TORCH_FORWARDS = {mode: torch_class.forward for mode, torch_class in TORCH_CLASSES.items()}


def has_torch_forward(mode: str) -> bool:
    """Returns False if the ``forward`` of a class of ``torch.nn`` has been replaced: the new one must be called."""
    return TORCH_CLASSES[mode].forward is _TORCH_FORWARDS[mode]
