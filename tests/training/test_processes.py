"""The processes of a training: shares of the lanes, devices, and refusals."""

import sys
from typing import cast

import pytest
from torch.distributed.distributed_c10d import Work

from charloom import SettingsError, TrainingSettings
from charloom.errors import ProcessLostError
from charloom.training.local_peers import LocalPeers
from charloom.training.processes import Processes, init_processes


@pytest.mark.parametrize(("rows", "size"), [(32, 2), (33, 4), (3, 4)])
def test_shares_are_all_lanes_once(rows: int, size: int) -> None:
    shares = [range(rows)[Processes(rank, size).get_rows_of_rank(rows)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_lanes_that_cannot_be_divided_evenly_are_refused() -> None:
    Processes(0, 4).check_settings(TrainingSettings(batch_size=32))
    with pytest.raises(SettingsError, match=r"multiple of the number of processes \(4\), such as 28"):
        Processes(0, 4).check_settings(TrainingSettings(batch_size=31))
    with pytest.raises(SettingsError, match=r"such as 4$"):
        Processes(0, 4).check_settings(TrainingSettings(batch_size=3))


def test_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """An incomplete environment, or a world size of one, does not wait for others."""
    monkeypatch.setenv("RANK", "0")
    for name, value in (("WORLD_SIZE", "2"), ("WORLD_SIZE", "1")):
        monkeypatch.setenv(name, value)
        with init_processes() as processes:
            assert processes == Processes()


def test_a_gpu_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for name, value in (("RANK", "5"), ("WORLD_SIZE", "6"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(SettingsError, match=r"more processes than GPUs \(2\)"), init_processes("auto"):
        pass
    with pytest.raises(SettingsError, match="use cuda to give each its own"), init_processes("cuda:1"):
        pass


class _EndlessWork:
    """The work of a collective that gloo never ends."""

    def wait(self, _: object = None) -> bool:
        raise RuntimeError("Operation timed out!")

    def is_completed(self) -> bool:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_collective_ends_if_a_process_of_this_machine_has_ended() -> None:
    processes = Processes(size=2, peers=LocalPeers([999_999_999]))
    with pytest.raises(ProcessLostError, match="another process of this run ended"):
        processes.call_collective(lambda: cast(Work, _EndlessWork()))
