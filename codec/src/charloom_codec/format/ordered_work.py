"""Tasks for several threads whose results are returned in order."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, TypeAlias, TypeVar

from charloom_codec.errors import SettingsError

Result = TypeVar("Result")
Progress: TypeAlias = Callable[[int], None]
"""Callback that gets the number of bytes of the original processed since the last call; any thread may call it."""

_MAX_DEFAULT_THREADS = 2
"""Maximum default number of threads, because each needs the tables of a session: tens of megabytes."""


def resolve_threads(threads: int | None) -> int:
    """Returns the number of threads, the default for None. Raises SettingsError if it is not a positive int."""
    if threads is None:
        # In a container, the affinity gives the usable cores. Not every system has it.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(cores, _MAX_DEFAULT_THREADS)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingsError("it must be an integer, at least 1", setting="threads", value=threads)
    return threads


class OrderedWork:
    """Executor of the tasks of one file, with their progress.

    Attributes:
        is_stopped: True once the results are no longer needed: tasks then return early.
    """

    def __init__(self, threads: int, progress: Progress | None = None) -> None:
        self.is_stopped = False
        self._threads = threads
        self._progress = progress
        self._lock = threading.Lock()

    def add_progress(self, count: int) -> None:
        """Reports ``count`` processed bytes of the original. Any thread may call it."""
        # The lock lets callbacks be simple: no two of them run at the same time.
        if self._progress is not None:
            with self._lock:
                self._progress(count)

    def run_in_order(self, tasks: Iterable[Callable[[], Result]]) -> Iterator[Result]:
        """Yields the result of each task, in order.

        If the iterator of the tasks raises, the results of the tasks before are yielded first. With one thread, the
        tasks run in the caller's thread.
        """
        if self._threads == 1:
            yield from (task() for task in tasks)
            return
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="charloom-codec")
        waiting: deque[Future[Result]] = deque()
        try:
            for future in _submit(tasks, executor):
                waiting.append(future)
                # At most threads + 1 tasks exist at the same time, which bounds the memory.
                if len(waiting) > self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Also if the caller closes the generator or a task raises: no thread outlives it.
            self.is_stopped = True
            executor.shutdown(cancel_futures=True)


def _submit(tasks: Iterable[Callable[[], Result]], executor: ThreadPoolExecutor) -> Iterator[Future[Result]]:
    """Yields the futures of the tasks. If the iterator of the tasks raises, the last future has that exception."""
    try:
        for task in tasks:
            yield executor.submit(task)
    except Exception as error:
        failed: Future[Result] = Future()
        failed.set_exception(error)
        yield failed


def write_chunks(chunks: Generator[bytes], target: BinaryIO) -> None:
    """Writes all chunks to ``target``."""
    # Closing the generator stops its threads if writing fails: the garbage collector may do so long after.
    with contextlib.closing(chunks):
        for chunk in chunks:
            target.write(chunk)
