"""Two hosts: network namespaces of this machine with a virtual cable, and folders of the same name only.

Run by scripts/test-two-hosts. Hosts reach each other by their addresses, and nothing else.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import several_processes
from charloom import LanguageModel
from charloom.training.processes import Processes
from process import SMALL, call, environment
from several_processes import CELLS, PARTITIONINGS, trained

pytestmark = pytest.mark.slow

_OPTIONS = [*SMALL, "--dropout", "0", "--sample-every", "0", "--learning-rate", "0.01", "--no-priming"]
_HEADERS = 1.1
"""Maximum ratio of all bytes, acknowledgments included, to the payload."""


_STARTED: list["subprocess.Popen[str]"] = []


@dataclass(frozen=True)
class _Host:
    namespace: str
    interface: str
    address: str
    folder: Path

    def torchrun(self, *arguments: str, first: str) -> "subprocess.Popen[str]":
        options = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "test"]
        # Without host names, torchrun does not recognize its own host.
        rendezvous = ["--rdzv-endpoint", f"{first}:29400", "--local-addr", self.address]
        rendezvous += ["--rdzv-conf", f"is_host={self.address == first}"]
        run = [sys.executable, "-m", "torch.distributed.run", *options, *rendezvous, *arguments]
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *run],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment(self.folder, GLOO_SOCKET_IFNAME=self.interface),
        )
        _STARTED.append(process)
        return process

    def bytes_sent(self) -> int:
        file = f"/sys/class/net/{self.interface}/statistics/tx_bytes"
        return int(_ip("netns", "exec", self.namespace, "cat", file))

    def worker(self) -> int:
        """The process that torchrun started to train here."""
        for pid in _ip("netns", "pids", self.namespace).split():
            with contextlib.suppress(OSError):
                if b"\0LOCAL_RANK=0\0" in Path(f"/proc/{pid}/environ").read_bytes():
                    return int(pid)
        raise AssertionError("none")


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
    return done.stdout


@pytest.fixture
def hosts(tmp_path: Path, text: str) -> Iterator[list[_Host]]:
    if shutil.which("ip") is None:
        pytest.skip("needs ip: apt-get install iproute2")
    if os.geteuid():
        pytest.skip("needs root, to make network namespaces")
    made = [_Host(f"charloom-{os.getpid()}-{i}", f"cable{i}", f"10.77.0.{i}", tmp_path / f"host{i}") for i in (1, 2)]
    try:
        try:
            for host in made:
                _ip("netns", "add", host.namespace)
            ends = [part for host in made for part in ("name", host.interface, "netns", host.namespace, "peer")][:-1]
            _ip("link", "add", *ends[:4], "type", "veth", "peer", *ends[5:])
            for host in made:
                _ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", host.interface)
                for interface in ("lo", host.interface):
                    _ip("-n", host.namespace, "link", "set", interface, "up")
        except OSError as error:
            pytest.skip(f"network namespaces cannot be made here ({error})")
        for host in made:
            host.folder.mkdir()
            (host.folder / "text.txt").write_text(text)
        yield made
    finally:
        for host in made:
            with contextlib.suppress(OSError):
                for pid in _ip("netns", "pids", host.namespace).split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                _ip("netns", "delete", host.namespace)
        while _STARTED:
            _STARTED.pop().communicate()


def _on_both(hosts: list[_Host], *arguments: str) -> list["subprocess.Popen[str]"]:
    return [host.torchrun(*arguments, first=hosts[0].address) for host in hosts]


def _outputs(runs: list["subprocess.Popen[str]"]) -> list[str]:
    """Returns the standard outputs."""
    outputs = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    return [out for out, _ in outputs]


def test_losses_of_100_steps_equal_those_of_one_process(hosts: list[_Host]) -> None:
    _outputs(
        [host.torchrun(several_processes.__file__, str(host.folder), "100", first=hosts[0].address) for host in hosts]
    )
    seen = [json.loads(file.read_text()) for host in hosts for file in host.folder.glob("seen-*.json")]
    assert len(seen) == 2
    for cell in CELLS:
        for partitioning in PARTITIONINGS:
            expected = trained(Processes(), cell, partitioning, 100)
            for one in seen:
                found = one[f"{cell}, {partitioning}"]
                assert len(found["losses"]) >= 99
                assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
                assert found["history"] == [pytest.approx(record, rel=1e-5) for record in expected["history"]]


def test_a_lost_process_is_replaced(hosts: list[_Host]) -> None:
    """On the host without the checkpoints; that host's torchrun counts no restart."""
    options = ["text.txt", *_OPTIONS, "--epochs", "5", "--output", "model"]
    more = ["--checkpoint-steps", "5", "--threads", "1"]
    runs = _on_both(hosts, "--max-restarts", "3", "-m", "charloom", "train", *options, *more)
    ends_at = time.monotonic() + 120
    while not (found := [host for host in hosts if list(host.folder.glob("model/checkpoints/step-*[1-9]*"))]):
        assert time.monotonic() < ends_at
        time.sleep(0.01)
    (writer,) = found
    (other,) = (host for host in hosts if host is not writer)
    os.kill(other.worker(), signal.SIGKILL)
    out = "".join(_outputs(runs))
    assert "restart 1 after the loss of a process: resumed at epoch" in out
    folders = [host.folder / "model" for host in hosts if (host.folder / "model" / "history.jsonl").exists()]
    histories = [[json.loads(line) for line in (f / "history.jsonl").read_text().splitlines()] for f in folders]
    complete = max(histories, key=len)
    assert [record["epoch"] for record in complete] == [1, 2, 3, 4, 5]
    assert call(writer.folder, "train", *options[:-1], "one", "--threads", "1").status == 0
    alone = [json.loads(line) for line in (writer.folder / "one" / "history.jsonl").read_text().splitlines()]
    for one, two in zip(alone, complete, strict=True):
        assert two["perplexity"] == pytest.approx(one["perplexity"], rel=1e-4)


def test_traffic_equals_the_formula(hosts: list[_Host]) -> None:
    """2 (W - 1) / W x 4 bytes for each parameter, a step and process, and little overhead."""
    before = [host.bytes_sent() for host in hosts]
    size = ["--cell", "gru", "--hidden-size", "256", "--output", "model", "--batch-size", "4", "--num-steps", "10"]
    rest = ["--epochs", "3", "--sample-every", "0", "--no-priming", "--threads", "1"]
    _outputs(_on_both(hosts, "-m", "charloom", "train", "text.txt", *size, *rest))
    (folder,) = (host.folder / "model" for host in hosts if (host.folder / "model").exists())
    steps = int(next(folder.glob("checkpoints/*")).name[5:15])
    parameters = sum(p.numel() for p in LanguageModel.load(folder).parameters())
    formula = steps * 2 * (2 - 1) * 4 * parameters // 2
    measured = [host.bytes_sent() - sent for host, sent in zip(hosts, before, strict=True)]
    print(f"{parameters} parameters, {steps} steps: {formula} bytes, measured {measured}")  # noqa: T201
    at_the_start = 4 * parameters  # the weights, from the first process to the other
    for number in measured:
        assert formula < number < (formula + at_the_start) * _HEADERS
