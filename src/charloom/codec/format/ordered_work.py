"""Work for several threads, whose results are wanted in order."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, TypeAlias, TypeVar

from charloom.errors import SettingsError

Result = TypeVar("Result")
Progress: TypeAlias = Callable[[int], None]
"""Called with the bytes of the original that were done since the last call, from whichever thread did them."""

_MAX_THREADS_UNASKED = 2
"""Each thread takes the tables of a session, tens of megabytes."""


def checked_threads(threads: int | None) -> int:
    """The number asked for, or the default. Raises SettingsError."""
    if threads is None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(processors, _MAX_THREADS_UNASKED)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingsError("it must be an integer, at least 1", setting="threads", value=threads)
    return threads


class OrderedWork:
    """The tasks of one file: their order, their progress, their end.

    Attributes:
        stopped: If nobody waits for results any more: tasks then end early.
    """

    def __init__(self, threads: int, progress: Progress | None = None) -> None:
        self.stopped = False
        self._threads = threads
        self._progress = progress
        self._lock = threading.Lock()

    def done(self, count: int) -> None:
        """Counts bytes of the original. For any thread."""
        if self._progress is not None:
            with self._lock:
                self._progress(count)

    def results(self, tasks: Iterable[Callable[[], Result]]) -> Iterator[Result]:
        """Each task's result, in order. At most ``threads`` + 1 tasks are alive at once: that bounds memory.

        If drawing the next task raises, the results of those before it come first. One thread: the caller's own.
        """
        if self._threads == 1:
            yield from (task() for task in tasks)
            return
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="charloom-codec")
        waiting: deque[Future[Result]] = deque()
        try:
            for future in _submitted(tasks, executor):
                waiting.append(future)
                if len(waiting) > self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            self.stopped = True
            executor.shutdown(cancel_futures=True)


def _submitted(tasks: Iterable[Callable[[], Result]], executor: ThreadPoolExecutor) -> Iterator[Future[Result]]:
    """The tasks at work; if drawing one raises, that is the last one's result."""
    try:
        for task in tasks:
            yield executor.submit(task)
    except Exception as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        yield failed


def write_chunks(chunks: Generator[bytes], target: BinaryIO) -> None:
    """Writes what threads work for; they end at once, also if writing fails."""
    with contextlib.closing(chunks):
        for chunk in chunks:
            target.write(chunk)
