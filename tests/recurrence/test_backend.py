import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from charloom import SettingsError, layers
from charloom.recurrence import backend as module
from charloom.recurrence.backend import backend, use_backend
from native import INSTRUCTION_SETS, Switch


@pytest.fixture
def other_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lets a test change the capabilities of this machine; the backend is chosen again after it."""
    with use_backend("auto"):
        yield monkeypatch
        monkeypatch.undo()


def test_choice_of_backend(compute_by: Switch) -> None:
    for word, part in (("reference", "equations"), ("pytorch", "PyTorch's own")):
        compute_by(word)
        assert backend() == (word, None)
        assert part in backend().describe()
    compute_by("fastest")
    for _ in range(2):  # a refusal is not cached
        with pytest.raises(SettingsError, match=r"fastest.*auto, reference, pytorch, scalar, avx2"):
            layers.RNN(3, 4)(torch.randn(5, 2, 3))


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
def test_each_instruction_set_by_its_name(compute_by: Switch) -> None:
    for name in INSTRUCTION_SETS:
        compute_by(name)
        kernels = backend().kernels
        assert kernels is not None
        assert kernels.name == backend().name == name
        assert name in backend().describe()
    compute_by("auto")
    assert backend().name == INSTRUCTION_SETS[-1]
    if "avx512" in INSTRUCTION_SETS:
        compute_by("avx512vnni")  # a name of the codec's
        assert backend().name == "avx512"


def test_an_unavailable_instruction_set(other_machine: pytest.MonkeyPatch, compute_by: Switch) -> None:
    other_machine.setattr(module, "_supported", lambda: {"scalar": object()})
    compute_by("avx512")
    with pytest.raises(SettingsError, match=r"avx512: not available on this machine; choose one of scalar"):
        backend()


def test_without_kernels_pytorch_computes_everything(other_machine: pytest.MonkeyPatch, compute_by: Switch) -> None:
    layer = layers.GRU(3, 4)
    inputs = torch.randn(5, 2, 3)
    expected = layer(inputs)[0]
    other_machine.setattr(module, "_supported", dict)
    compute_by("auto")
    assert "without native kernels" in backend().describe()
    torch.testing.assert_close(layer(inputs)[0], expected)
    compute_by("scalar")
    with pytest.raises(SettingsError, match="installed without native kernels"):
        layer(inputs)


def test_the_environment_is_read_once_per_process() -> None:
    with use_backend("reference"), pytest.MonkeyPatch.context() as patch:
        assert backend().name == "reference"
        patch.setenv("CHARLOOM_KERNELS", "pytorch")
        assert backend().name == "reference"
        code = "from charloom.recurrence.backend import backend; print(backend().name)"
        assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "pytorch"
        if child := os.fork():
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        else:
            os._exit(backend().name != "pytorch")


def test_a_description_is_of_the_backend_and_not_of_a_later_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with use_backend("pytorch"):
        chosen = backend()
        description = chosen.describe()
        monkeypatch.delenv("CHARLOOM_KERNELS")
        assert chosen.describe() == description
        monkeypatch.undo()


def test_use_backend_restores_the_environment() -> None:
    before, name = dict(os.environ), backend().name
    with use_backend("pytorch"), use_backend("reference"):
        assert backend().name == "reference"
    assert os.environ == before
    assert backend().name == name
