"""Work of several threads: results in order, few tasks at a time, no thread left behind."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from charloom import SettingsError
from charloom_codec.format.ordered_work import OrderedWork, resolve_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    """Whatever their duration: here each task waits for the next, as far as there are threads."""
    ready = [threading.Event() for _ in range(21)]

    def task(number: int) -> int:
        ready[number].set()
        if number % threads != threads - 1:
            ready[number + 1].wait(10)
        return number

    tasks = (partial(task, number) for number in range(20))
    assert list(OrderedWork(threads).run_in_order(tasks)) == list(range(20))


def test_few_tasks_are_drawn_ahead() -> None:
    drawn = 0

    def tasks() -> Iterator[Callable[[], int]]:
        nonlocal drawn
        while True:
            drawn += 1
            yield partial(int, drawn)

    work = OrderedWork(2)
    results = work.run_in_order(tasks())
    assert [next(results) for _ in range(5)] == [1, 2, 3, 4, 5]
    assert drawn <= 5 + 2
    assert not work.is_stopped
    results.close()  # type: ignore[attr-defined] # a generator
    assert work.is_stopped


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_after_the_results_before_it(threads: int) -> None:
    """An error of a task and of the iterator of tasks are both raised."""

    def failing() -> int:
        raise KeyError("task")

    def tasks(fails: bool) -> Iterator[Callable[[], int]]:
        yield from (partial(int, number) for number in range(2))
        if fails:
            yield failing
        raise ValueError("drawing")

    for fails, error in ((True, KeyError), (False, ValueError)):
        results = OrderedWork(threads).run_in_order(tasks(fails))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(error):
            next(results)


def test_progress_is_counted_by_one_thread_at_a_time() -> None:
    counts: list[int] = []
    work = OrderedWork(4, counts.append)
    list(work.run_in_order(partial(work.add_progress, number) for number in range(100)))
    assert sum(counts) == sum(range(100))
    OrderedWork(1).add_progress(5)


def test_numbers_of_threads() -> None:
    assert resolve_threads(3) == 3
    assert resolve_threads(None) in (1, 2)
    for wrong in (0, -1, True, 1.5, "2"):
        with pytest.raises(SettingsError, match="at least 1"):
            resolve_threads(wrong)  # type: ignore[arg-type]
