"""What a network reads: windows of a series, each seen from its own mean, with the linear part's errors beside.

Seen from its own mean, a window looks the same wherever the series has drifted to.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charloom.forecasting.series import Values


@dataclass(frozen=True)
class Windows:
    """Every stretch of ``context + ahead`` points.

    Attributes:
        centred: (windows, steps) values less the mean of their window's first ``context``, in units of ``spread``.
        starts: (windows,) places of their first points.
        spread: Standard deviation of all centred values.
    """

    centred: Values
    starts: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    spread: float


def cut_windows(values: Values, context: int, ahead: int) -> Windows:
    """All windows of a series that is at least ``context + ahead`` long."""
    stretches = np.lib.stride_tricks.sliding_window_view(values, context + ahead)
    centred = stretches - stretches[:, :context].mean(1, keepdims=True)
    spread = float(centred.std()) or 1.0
    return Windows(centred / spread, np.arange(len(stretches)), spread)


@dataclass(frozen=True)
class WindowBatch:
    """Windows as a network trains on them; each step's target is the next point's error of the linear part.

    Attributes:
        inputs: (windows, steps, 2): the centred value, and the linear part's error there.
        targets: (windows, steps), in units of the linear part's own error.
        fitted: (windows, steps), 1 where a target is to be learnt from.
        held_out: (windows, steps), 1 where a target was left out, and measures.
    """

    inputs: Tensor
    targets: Tensor
    fitted: Tensor
    held_out: Tensor

    def of_held_out(self) -> "WindowBatch":
        """Only the windows that measure."""
        kept = self.held_out.sum(1) > 0
        return WindowBatch(self.inputs[kept], self.targets[kept], self.fitted[kept], self.held_out[kept])


def make_batch(
    windows: Windows,
    errors: Values,
    known: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    block: tuple[int, int],
    context: int,
) -> WindowBatch:
    """The windows with a member's linear errors.

    errors: (points,) of the linear part, in units of their spread; known: where there are any; block: the places that
    the member leaves out.

    A network needs points before its first forecast: half a context to learn, a whole one to be measured.
    """
    steps = windows.centred.shape[1]
    places = windows.starts[:, None] + np.arange(steps)[None]
    inside = (places >= block[0]) & (places < block[1])
    fitted = known[places] & ~inside
    held_out = known[places] & inside
    fitted[:, : context // 2 + 1] = False
    held_out[:, :context] = False

    def tensor(array: Values) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device="cpu")

    inputs = tensor(np.stack([windows.centred, errors[places]], axis=-1))[:, :-1]
    return WindowBatch(inputs, tensor(errors[places])[:, 1:], tensor(fitted)[:, 1:], tensor(held_out)[:, 1:])
