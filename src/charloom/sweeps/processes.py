"""The processes of a sweep, as the one that gives them orders sees them."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple


class Answer(NamedTuple):
    """What a process says.

    Attributes:
        process: Which, from 0.
        message: See ``charloom.sweeps.worker``; None where it died.
    """

    process: int
    message: dict[str, Any] | None


class Workers:
    """Processes that train. All end when the context is left, whatever they are at."""

    def __init__(self, number: int, logs: Path) -> None:
        """Logs: a folder for what they write on standard error."""
        self._logs = logs
        self._processes: list[subprocess.Popen[str]] = []
        self._answers: queue.Queue[tuple[subprocess.Popen[str], Answer]] = queue.Queue()
        self._number = number
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Workers":
        for index in range(self._number):
            self._processes.append(self._start(index))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            _bury(process)
        for thread in self._threads:
            thread.join()

    def order(self, index: int, order: dict[str, Any]) -> None:
        """Gives a process a run to train; a new one takes the place of a process that died."""
        if self._processes[index].poll() is not None:
            _bury(self._processes[index])
            self._processes[index] = self._start(index)
        standard_input = self._processes[index].stdin
        assert standard_input is not None
        with contextlib.suppress(BrokenPipeError):  # it died just now, which its last answer will say
            standard_input.write(json.dumps(order) + "\n")
            standard_input.flush()

    def next_answer(self, timeout: float) -> Answer | None:
        """The next answer of any; None where there was none for so many seconds."""
        try:
            process, answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            return None
        # What a process says whose place another has taken is of no run any more.
        return answer if process is self._processes[answer.process] else None

    def why_it_died(self, index: int) -> str:
        """In one line."""
        status = self._processes[index].wait()
        lines = self._log(index).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        # Linux kills with SIGKILL when memory is out.
        reason = "killed (out of memory?)" if status == -9 else f"ended with status {status}"
        return f"its process was {reason}" if status == -9 else f"its process {reason}: {lines[-1] if lines else ''}"

    def _log(self, index: int) -> Path:
        return self._logs / f"process-{index}.log"

    def _start(self, index: int) -> "subprocess.Popen[str]":
        with self._log(index).open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "charloom.sweeps.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        assert process.stdout is not None
        thread = threading.Thread(target=self._listen, args=(index, process, process.stdout), daemon=True)
        thread.start()
        self._threads.append(thread)
        return process

    def _listen(self, index: int, process: "subprocess.Popen[str]", answers: IO[str]) -> None:
        with answers:
            for line in answers:
                if line.endswith("\n"):  # what died in the middle of a line said nothing
                    self._answers.put((process, Answer(index, json.loads(line))))
        self._answers.put((process, Answer(index, None)))


def _bury(process: "subprocess.Popen[str]") -> None:
    """Frees what is held of a process that ended, or is about to."""
    process.wait()
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # what it did not read is lost
        process.stdin.close()
