import pytest
import torch

from charloom import SettingsError, layers
from charloom.recurrence import dispatch
from charloom.recurrence.dispatch import chosen_kernels, chosen_path, describe_path
from native import INSTRUCTION_SETS


def test_choice_of_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHARLOOM_KERNELS", raising=False)
    assert chosen_path() == "auto"
    for word, said in (("reference", "equations"), ("pytorch", "PyTorch's own")):
        monkeypatch.setenv("CHARLOOM_KERNELS", word)
        assert chosen_path() == word
        assert chosen_kernels() is None
        assert said in describe_path()
    monkeypatch.setenv("CHARLOOM_KERNELS", "fastest")
    with pytest.raises(SettingsError, match=r"fastest.*auto, reference, pytorch, scalar, avx2"):
        layers.RNN(3, 4)(torch.randn(5, 2, 3))


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")
def test_each_instruction_set_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in INSTRUCTION_SETS:
        monkeypatch.setenv("CHARLOOM_KERNELS", name)
        assert chosen_kernels().name == name
        assert name in describe_path()
    monkeypatch.setenv("CHARLOOM_KERNELS", "auto")
    assert chosen_kernels().name == INSTRUCTION_SETS[-1]


def test_an_instruction_set_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_supported", lambda: {"scalar": object()})
    monkeypatch.setenv("CHARLOOM_KERNELS", "avx512")
    with pytest.raises(SettingsError, match=r"avx512: not available here; it has scalar"):
        chosen_kernels()


def test_without_kernels_all_goes_on_in_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layers.GRU(3, 4)
    inputs = torch.randn(5, 2, 3)
    expected = layer(inputs)[0]
    monkeypatch.setattr(dispatch, "_supported", dict)
    monkeypatch.setenv("CHARLOOM_KERNELS", "auto")
    assert "without native kernels" in describe_path()
    torch.testing.assert_close(layer(inputs)[0], expected)
    monkeypatch.setenv("CHARLOOM_KERNELS", "scalar")
    with pytest.raises(SettingsError, match="installed without native kernels"):
        layer(inputs)
