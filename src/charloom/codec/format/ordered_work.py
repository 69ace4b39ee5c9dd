"""Work for several threads, whose results are wanted in order."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias, TypeVar

from charloom.errors import SettingsError

Result = TypeVar("Result")
Progress: TypeAlias = Callable[[int], None]
"""Called with the bytes of the original that were done since the last call, from whichever thread did them."""

_MOST_THREADS_UNASKED = 2
"""Each thread takes the tables of a session, tens of megabytes."""


def checked_threads(threads: int | None) -> int:
    """The number asked for, or the default. Raises SettingsError."""
    if threads is None:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(processors, _MOST_THREADS_UNASKED)
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingsError("it must be a whole number, 1 or more", setting="threads", value=threads)
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
        source = iter(tasks)
        waiting: deque[Future[Result]] = deque()
        failure: Exception | None = None
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="charloom-codec")
        try:
            while True:
                try:
                    waiting.append(executor.submit(next(source)))
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                if len(waiting) > self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            if failure is not None:
                raise failure
        finally:
            self.stopped = True
            executor.shutdown(cancel_futures=True)
