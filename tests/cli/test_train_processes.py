"""``charloom train`` as several processes: lost processes, Ctrl-C, refusals."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charloom import LanguageModel
from process import PATIENCE, SMALL, call, environment, wait_until

_OPTIONS = [*SMALL, "--dropout", "0", "--sample-every", "0", "--learning-rate", "0.01", "--no-priming"]
_ENDLESS = ["--epochs", "100000"]


@contextlib.contextmanager
def _start(home: Path, command: list[str], **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Starts a process in a session of its own, which is killed as a whole."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(home, GLOO_SOCKET_IFNAME="lo", **variables),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for pid in [*_workers(process), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def _torchrun(*options: str) -> list[str]:
    return ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options, "-m", "charloom", "train"]


def _workers(process: "subprocess.Popen[str]") -> list[int]:
    """Returns the processes that torchrun started, by rank."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        return []
    ranks: dict[int, int] = {}
    for child in children:
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            ranks |= {int(v[5:]): int(child) for v in variables if v.startswith(b"RANK=")}
    return [ranks[rank] for rank in sorted(ranks)]


def _has_checkpoint(folder: Path, step: int) -> Callable[[], bool]:
    def has() -> bool:
        names = sorted(path.name for path in folder.glob("checkpoints/*.checkpoint"))
        return bool(names) and int(names[-1].removeprefix("step-").removesuffix(".checkpoint")) >= step

    return has


def _errors(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith("charloom: ")]


@pytest.fixture
def home(tmp_path: Path, text: str) -> Path:
    (tmp_path / "text.txt").write_text(text)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_lost_process_is_replaced_and_the_run_continues(home: Path, number: signal.Signals) -> None:
    """It resumes from the last checkpoint, reports that, and its results equal an undisturbed run of one process.

    What the remaining process prints after SIGKILL depends on what comes first: the loss of the connection, or
    torchrun's SIGTERM.
    """
    options = ["text.txt", *_OPTIONS, "--epochs", "5", "--output"]
    with _start(home, [*_torchrun("--max-restarts", "2"), *options, "two", "--checkpoint-steps", "5"]) as process:
        wait_until(_has_checkpoint(home / "two", 10), process)
        os.kill(_workers(process)[1], number)
        out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "restart 1 after the loss of a process: resumed at epoch" in out
    assert all("another process of this run ended" in error for error in _errors(errors))
    if number == signal.SIGTERM:  # all stop after the same step
        assert "another process of the run was stopped" in out
    assert call(home, "train", *options, "one", "--threads", "1").status == 0
    histories = [
        [json.loads(line) for line in (home / name / "history.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [record["epoch"] for record in histories[1]] == list(range(1, 6))
    for one, two in zip(*histories, strict=True):
        assert two["perplexity"] == pytest.approx(one["perplexity"], rel=1e-4)
        assert two["validation_perplexity"] == pytest.approx(one["validation_perplexity"], rel=1e-4)


@pytest.mark.slow
def test_ctrl_c_on_torchrun_stops_all_and_saves(home: Path) -> None:
    with _start(home, [*_torchrun(), "text.txt", *_OPTIONS, *_ENDLESS, "--output", "model"]) as process:
        wait_until((home / "model" / "history.jsonl").exists, process)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "Stopped by SIGINT after" in out
    assert not _errors(errors)
    assert LanguageModel.load(home / "model").vocabulary


@pytest.mark.slow
def test_without_torchrun_the_remaining_process_reports_it_and_saves(home: Path) -> None:
    """RANK and so on may come from any launcher; here no launcher ends the other processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = ["charloom", "train", "text.txt", *_OPTIONS, *_ENDLESS, "--threads", "1", "--output", "model"]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with (
        _start(home, command, RANK="0", **world) as first,
        _start(home, command, RANK="1", **world) as second,
    ):
        wait_until((home / "model" / "history.jsonl").exists, first)
        second.kill()
        _, errors = first.communicate(timeout=PATIENCE)
        out, _ = second.communicate()
    assert first.returncode == 1
    (error,) = errors.splitlines()
    assert error.startswith("charloom: error: another process of this run ended")
    assert error.endswith("is saved in model")
    assert out == ""
    assert LanguageModel.load(home / "model").vocabulary


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["text.txt", "--batch-size", "7"], "batch-size is 7: it must be a multiple of the number of processes (2)"),
        (["-"], "standard input cannot be shared between processes"),
        (["no.txt"], "no.txt"),
        (["text.txt", "--output", "."], "already contains a model"),
    ],
)
def test_refusals_are_reported_once(home: Path, arguments: list[str], reason: str) -> None:
    (home / "config.json").write_text("{}")
    with _start(home, [*_torchrun(), *arguments]) as process:
        out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (error,) = _errors(errors)
    assert error.startswith("charloom: error: ")
    assert reason in error
    assert out == ""
