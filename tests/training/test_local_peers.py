"""Processes on the same machine: those that run, that have ended, and that are elsewhere."""

import os
import subprocess
import sys

import pytest
from torch._C._distributed_c10d import HashStore

from charloom.training import local_peers
from charloom.training.local_peers import LocalPeers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_process_that_ends_is_lost() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        peers = LocalPeers([os.getpid(), process.pid])
        assert not peers.is_one_lost
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not waited for
        assert peers.is_one_lost
    assert peers.is_one_lost
    assert not LocalPeers().is_one_lost


def test_only_processes_of_the_same_namespace_are_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    store = HashStore()
    store.set("process/1", f"999999999 {local_peers._describe_namespace()}")
    assert LocalPeers.exchange(store, 0, 2).is_one_lost
    store.set("process/1", "999999999 another")
    assert not LocalPeers.exchange(store, 0, 2).is_one_lost
    monkeypatch.setattr(local_peers, "_describe_namespace", lambda: "")
    store.set("process/1", "999999999 ")
    assert not LocalPeers.exchange(store, 0, 2).is_one_lost
