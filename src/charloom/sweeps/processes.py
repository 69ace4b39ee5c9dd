"""The worker processes of a sweep, as the main process starts and controls them."""

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
    """A context manager of worker processes.

    The constructor starts them, and the end of the context kills them. Each run has a thread, which takes any idle
    process.
    """

    def __init__(self, number: int) -> None:
        self._threads = ThreadPoolExecutor(number)
        self._tasks: list[Future[dict[str, str]]] = []
        self._idle: queue.SimpleQueue[Process] = queue.SimpleQueue()
        self._logs: dict[Process, IO[str]] = {}
        """All processes that were started, with the files that receive their standard error."""
        for _ in range(number):
            self._idle.put(self._start())

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        are_done = False
        while not are_done:  # a thread may start a process while the others are killed
            are_done = all(task.done() for task in self._tasks)
            for process in list(self._logs):
                process.kill()
            time.sleep(0.01)
        for process, log in self._logs.items():
            process.wait()
            for stream in (process.stdin, process.stdout, log):
                assert stream is not None
                with contextlib.suppress(OSError):  # close() flushes; a killed process cannot read a task any more
                    stream.close()

    def train(self, task: Mapping[str, object], on_epoch: Callable[[int], None]) -> "Future[dict[str, str]]":
        """Submits a run for the next idle worker.

        Args:
            task: Run to train, a ``Task`` of ``worker``.
            on_epoch: Function that is called, in another thread, with the number of finished epochs.

        Returns:
            A future of the last reply of the worker, with one key: ``ended``; ``failed``, with the reason, if the run
            failed or the worker died; or ``error``, with the reason, if other runs would fail, too.
        """
        self._tasks.append(self._threads.submit(self._train, task, on_epoch))
        return self._tasks[-1]

    def _train(self, task: Mapping[str, object], on_epoch: Callable[[int], None]) -> dict[str, str]:
        try:
            process = self._idle.get_nowait()
        except queue.Empty:  # a worker died: there are as many threads as workers
            process = self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the worker died while it was idle; readline then returns no reply
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
        while (line := process.stdout.readline()).endswith("\n"):  # an incomplete line is from a worker that died
            reply: dict[str, str] = json.loads(line)
            if "epoch" not in reply:
                self._idle.put(process)
                return reply
            on_epoch(int(reply["epoch"]))
        return {"failed": self._exit_reason(process)}

    def _exit_reason(self, process: Process) -> str:
        status, log = process.wait(), self._logs[process]
        if status == -9:  # SIGKILL, which Linux sends when memory runs out
            return "its process was killed (out of memory?)"
        log.seek(0)
        lines = log.read().strip().splitlines()
        return f"its process ended with status {status}{f': {lines[-1]}' if lines else ''}"

    def _start(self) -> Process:
        # A file, not a pipe: a worker blocks when nobody reads a full pipe.
        log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed with the process
        # Without -P, -m would search the current folder first, and a random.py there would replace the module.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "charloom.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        )
        self._logs[process] = log
        return process
