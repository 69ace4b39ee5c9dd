"""The worker processes of a sweep, from the side of the main process."""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TypeAlias

Process: TypeAlias = "subprocess.Popen[str]"


class Workers(contextlib.AbstractContextManager["Workers"]):
    """Worker processes, each served by a thread. All are killed at the end of the context."""

    def __init__(self, number: int) -> None:
        self._threads = ThreadPoolExecutor(number)
        self._orders: list[Future[dict[str, str]]] = []
        self._idle: queue.SimpleQueue[Process] = queue.SimpleQueue()
        self._logs: dict[Process, IO[str]] = {}
        """Every process that was started, and what it writes on standard error."""
        for _ in range(number):
            self._idle.put(self._start())

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        are_done = False
        while not are_done:  # a thread may start a process while others are killed
            are_done = all(order.done() for order in self._orders)
            for process in list(self._logs):
                process.kill()
            time.sleep(0.01)
        for process, log in self._logs.items():
            process.wait()
            for stream in (process.stdin, process.stdout, log):
                assert stream is not None
                with contextlib.suppress(OSError):  # what it did not read is lost
                    stream.close()

    def train(self, order: Mapping[str, object], on_epoch: Callable[[int], None]) -> "Future[dict[str, str]]":
        """Submits a run for the next idle worker. The result is its last answer, ``{"failed": reason}`` if it died."""
        self._orders.append(self._threads.submit(self._train, order, on_epoch))
        return self._orders[-1]

    def _train(self, order: Mapping[str, object], on_epoch: Callable[[int], None]) -> dict[str, str]:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:  # one died
            process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died while it was idle
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        while (line := process.stdout.readline()).endswith("\n"):  # what died in the middle of a line said nothing
            answer: dict[str, str] = json.loads(line)
            if "epoch" not in answer:
                self._idle.put(process)
                return answer
            on_epoch(int(answer["epoch"]))
        return {"failed": self._exit_reason(process)}

    def _exit_reason(self, process: Process) -> str:
        status, log = process.wait(), self._logs[process]
        if status == -9:  # Linux kills with SIGKILL when memory is out
            return "its process was killed (out of memory?)"
        log.seek(0)
        lines = log.read().strip().splitlines()
        return f"its process ended with status {status}: {lines[-1] if lines else ''}"

    def _start(self) -> Process:
        log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed with the process
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "charloom.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        )
        self._logs[process] = log
        return process
