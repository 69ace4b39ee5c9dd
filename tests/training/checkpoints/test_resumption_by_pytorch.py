"""Resumption of runs that PyTorch computes: in mixed precision, and on a GPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from charloom.training.events import StepEnded, StopTraining
from interrupted_runs import KINDS, assert_same, corpus_of, train_or_resume
from native import Switch

pytestmark = pytest.mark.filterwarnings("ignore:validation perplexity was best")
_TEXT = "A fox, a dog and a crow. The crow had a piece of cheese; the fox had an idea. " * 5


def _stop_at(step: int) -> Callable[[Any], None]:
    left = step

    def stop(event: Any) -> None:
        nonlocal left
        left -= isinstance(event, StepEnded)
        if not left:
            raise StopTraining

    return stop


def test_pytorchs_mixed_precision(tmp_path: Path, compute_by: Switch) -> None:
    """PyTorch computes all training on GPUs. Carried state and weights are float32 there."""
    compute_by("pytorch")
    corpus = corpus_of(_TEXT)
    expected = train_or_resume("dropout", corpus, tmp_path / "whole", precision="bfloat16")
    for number in (3, 8):
        train_or_resume("dropout", corpus, tmp_path / "again", _stop_at(number), precision="bfloat16")
    assert_same(*train_or_resume("dropout", corpus, tmp_path / "again", precision="bfloat16"), *expected)
    plain = train_or_resume("dropout", corpus, tmp_path / "plain")
    assert not torch.equal(plain[0].output.weight, expected[0].output.weight)


@pytest.mark.gpu
def test_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit-identical if PyTorch computes deterministically."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    corpus = corpus_of(_TEXT)
    torch.use_deterministic_algorithms(True)
    try:
        # Except dropout between layers: cuDNN draws it from a state of its own that cannot be saved (pytorch #104697).
        kinds = [kind for kind, (model, _) in KINDS.items() if not (model.get("num_layers") and model.get("dropout"))]
        for kind, precision in [*((kind, "float32") for kind in kinds), ("dropout, random order", "bfloat16")]:
            place, how = tmp_path / f"{kind}, {precision}", {"device": "cuda", "precision": precision}
            expected = train_or_resume(kind, corpus, place / "whole", **how)
            for number in (3, 8, 1):
                train_or_resume(kind, corpus, place / "again", _stop_at(number), **how)
            found = train_or_resume(kind, corpus, place / "again", **how)
            assert found[0].device.type == "cuda"
            assert_same(*found, *expected)
    finally:
        torch.use_deterministic_algorithms(False)
