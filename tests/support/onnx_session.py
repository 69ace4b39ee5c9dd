"""ONNX files in onnxruntime, called as the PyTorch modules that they were exported from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import charloom

onnxruntime = pytest.importorskip("onnxruntime")


class OnnxSession:
    """A session of onnxruntime whose call has the arguments and results of the exported module's."""

    def __init__(self, file: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # a wrong id is an exception, and need not be printed too
        self.session = onnxruntime.InferenceSession(file if isinstance(file, bytes) else str(file), options)
        self._first, *self._states = self.session.get_inputs()

    def begin_state(self, batch: int) -> Any:
        """Returns zeros of the state's shape, which the file states."""
        return self._joined([np.zeros((s.shape[0], batch, s.shape[2]), np.float32) for s in self._states])

    def __call__(self, first: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Returns the first output and the new state."""
        batch = first.shape[[*self._first.shape].index("batch")]
        parts = self.begin_state(batch) if state is None else state
        parts = parts if isinstance(parts, tuple) else (parts,)
        given = {one.name: part.numpy() for one, part in zip(self._states, parts, strict=True)}
        outputs, *last = self.session.run(None, {self._first.name: first.numpy(), **given})
        return torch.from_numpy(outputs), self._joined(last)

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the file."""
        found: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        return found

    @staticmethod
    def _joined(parts: list[Any]) -> Any:
        """Returns a state as PyTorch does: one tensor, or a tuple of two."""
        tensors = tuple(map(torch.from_numpy, parts))
        return tensors if len(tensors) > 1 else tensors[0]


def exported(model: nn.Module, folder: Path) -> OnnxSession:
    """Exports a module and opens the file."""
    charloom.export_onnx(model, folder / "model.onnx", force=True)
    return OnnxSession(folder / "model.onnx")


def assert_equal_in_onnx(model: Any, session: OnnxSession, *chunks: Tensor, tolerance: float = 1e-5) -> None:
    """Calls both with each chunk and the state after the one before; results may differ by the tolerance."""
    ours = theirs = None
    model.eval()
    for chunk in chunks:
        with torch.no_grad():
            expected, ours = model(chunk, ours)
        found, theirs = session(chunk, theirs)
        assert found.shape == expected.shape
        parts = zip((found, *_parts(theirs)), (expected, *_parts(ours)), strict=True)
        for one, other in parts:
            torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


def _parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)
