"""Work for several threads whose results are wanted in order, a few pieces at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def results_in_order(tasks: Iterable[Callable[[], Result]], threads: int, stop: Callable[[], None]) -> Iterator[Result]:
    """Each task's result, in order. At most ``threads`` + 1 tasks are alive at once: that bounds memory.

    Where drawing the next task raises, the results of those before it come first. ``stop`` is called as the work ends,
    for whatever reason, so that tasks that nobody waits for can end early. One thread: the caller's own.
    """
    if threads == 1:
        for task in tasks:
            yield task()
        return
    source = iter(tasks)
    waiting: deque[Future[Result]] = deque()
    failure: Exception | None = None
    executor = ThreadPoolExecutor(threads, thread_name_prefix="charloom-codec")
    try:
        while True:
            while failure is None and len(waiting) <= threads:
                try:
                    task = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                waiting.append(executor.submit(task))
            if not waiting:
                break
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    finally:
        stop()
        executor.shutdown(cancel_futures=True)
