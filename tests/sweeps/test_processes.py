"""The processes of a sweep, with a fake for the one that trains."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from charloom.sweeps import processes
from charloom.sweeps.processes import Workers

_WORKER = """
import json, os, signal, sys, time
for line in sys.stdin:
    task = json.loads(line)
    for epoch in range(task.get("epochs", 0)):
        print(json.dumps({"epoch": epoch + 1}), flush=True)
    if task["do"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if task["do"] == "half a line":
        print('{"ended"', end="", flush=True)
        sys.exit("broken")
    if task["do"] == "silent exit":
        sys.exit(3)
    if task["do"] == "wait":
        time.sleep(600)
    print(json.dumps({"ended": os.getpid()}), flush=True)
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The processes that were started."""
    found = []

    def start(_: list[str], **options: Any) -> Any:
        found.append(subprocess.Popen([sys.executable, "-c", _WORKER], **options))
        return found[-1]

    monkeypatch.setattr(processes, "subprocess", SimpleNamespace(PIPE=subprocess.PIPE, Popen=start))
    yield found
    assert all(process.poll() is not None for process in found)


def test_one_process_does_several_runs_and_reports_each_epoch(started: list[Any]) -> None:
    epochs: list[int] = []
    with Workers(1) as workers:
        ends = [workers.train({"do": "end", "epochs": 3}, epochs.append) for _ in range(2)]
        replies = [end.result() for end in ends]
    assert epochs == [1, 2, 3] * 2
    assert replies == [{"ended": started[0].pid}] * 2
    assert len(started) == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("kill", "its process was killed (out of memory?)"),
        ("half a line", "its process ended with status 1: broken"),
        ("silent exit", "its process ended with status 3"),
    ],
)
def test_a_process_that_dies_is_replaced(what: str, message: str, started: list[Any]) -> None:
    with Workers(1) as workers:
        first, second = (workers.train({"do": do}, print) for do in (what, "end"))
        assert first.result()["failed"] == message
        assert second.result() == {"ended": started[1].pid}


def test_all_processes_end_with_the_context(started: list[Any]) -> None:
    """Whatever they are doing; waiting runs are not started."""
    reported = threading.Event()
    with Workers(2) as workers:
        ends = [workers.train({"do": "wait", "epochs": 1}, lambda _: reported.set()) for _ in range(5)]
        assert reported.wait(60)
    assert len(started) == 2
    assert all(end.done() for end in ends)
    assert [end.cancelled() for end in ends] == [False, False, True, True, True]
