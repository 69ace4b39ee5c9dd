"""Forks a sweep's workers from the tests' process, which has imported PyTorch already: seconds less for each."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import IO, Any
from unittest import mock

import jaxtyping

# Imported here, so that no child has to; PyTorch's optimizers import its compiler.
import torch._dynamo

from charloom.sweeps import worker


class ForkedWorker:
    """The methods of ``subprocess.Popen`` that a sweep uses; ``charloom.sweeps.worker`` runs in the child."""

    def __init__(self, _: Any, *, stdin: int, stdout: int, stderr: IO[str], encoding: str) -> None:
        assert stdin == stdout
        orders, answers = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of a fork with threads
            self.pid = os.fork()
        if not self.pid:
            _run_worker(orders[0], answers[1], stderr.fileno())
        os.close(orders[0])
        os.close(answers[1])
        self.stdin = os.fdopen(orders[1], "w", encoding=encoding)
        self.stdout = os.fdopen(answers[0], encoding=encoding)
        self._status: int | None = None
        self._waiting = threading.RLock()

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        with self._waiting:
            if self._status is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self.wait()
        return self._status

    def wait(self) -> int:
        with self._waiting:
            if self._status is None:
                _, status = os.waitpid(self.pid, 0)
                self._status = os.waitstatus_to_exitcode(status)
        return self._status


def _run_worker(orders: int, answers: int, log: int) -> None:
    """Runs in the child, and never returns."""
    try:
        for descriptor, source in enumerate((orders, answers, log)):
            os.dup2(source, descriptor)
        os.closerange(
            3, os.sysconf("SC_OPEN_MAX")
        )  # also those of another worker, whose orders would otherwise never end
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        jaxtyping.config.update("jaxtyping_disable", True)  # as a worker is started
        worker.main()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


@contextlib.contextmanager
def workers_forked() -> Iterator[list[ForkedWorker]]:
    """Forks the workers of sweeps within the context, and yields the list of them."""
    workers: list[ForkedWorker] = []
    kind: Any = subprocess.Popen if torch.cuda.is_available() else ForkedWorker  # CUDA does not survive a fork

    def start(*arguments: Any, **options: Any) -> ForkedWorker:
        workers.append(kind(*arguments, **options))
        return workers[-1]

    stand_in = SimpleNamespace(PIPE=subprocess.PIPE, Popen=start)
    with mock.patch("charloom.sweeps.processes.subprocess", stand_in):
        yield workers
