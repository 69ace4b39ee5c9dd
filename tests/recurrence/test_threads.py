import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch

import charloom
from charloom.recurrence.threads import thread_limit, use_threads
from charloom.shapes import Ids, Logits, State
from charloom.text.vocabulary import Vocabulary
from fakes import MarkovPredictor
from native import INSTRUCTION_SETS, Switch

pytestmark = pytest.mark.skipif(not INSTRUCTION_SETS, reason="charloom was built without native kernels")


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def _numbers() -> tuple[int, int]:
    """Returns the numbers of threads of the kernels and of PyTorch."""
    return thread_limit(), torch.get_num_threads()


def _in_new_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_pytorch_uses_one_thread_and_the_kernels_pytorchs_number() -> None:
    with use_threads():
        assert _numbers() == (3, 1)
        with use_threads():
            assert _numbers() == (3, 1)
        assert _numbers() == (3, 1)
    assert _numbers() == (3, 3)


def test_a_given_number_applies_to_both() -> None:
    with use_threads(2):
        assert _numbers() == (-2, 2)
        with use_threads():
            assert _numbers() == (-2, 2)
        with use_threads(1):
            assert _numbers() == (-1, 1)
        assert _numbers() == (-2, 2)
    with use_threads(), use_threads(2):
        assert _numbers() == (-2, 2)
    assert _numbers() == (3, 3)


def test_thread_numbers_are_restored_after_an_invalid_one() -> None:
    with pytest.raises(RuntimeError, match="positive"), use_threads(-1):
        pass
    assert _numbers() == (3, 3)


def test_thread_numbers_are_restored_after_an_error() -> None:
    with pytest.raises(KeyError), use_threads(), use_threads(2):
        raise KeyError
    assert _numbers() == (3, 3)


@pytest.mark.parametrize("path", ["pytorch", "reference"])
def test_without_kernels_pytorch_keeps_its_number(path: str, compute_by: Switch) -> None:
    compute_by(path)
    with use_threads():
        assert _numbers() == (3, 3)
    with use_threads(2):
        assert _numbers() == (-2, 2)


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_contexts_of_several_python_threads_restore_pytorchs_number(first_leaves_first: bool) -> None:
    """PyTorch passes its current number to new Python threads, such as those of a server that evaluates."""
    inside, leave, left = threading.Event(), threading.Event(), threading.Event()
    seen: list[tuple[int, int]] = []

    def other() -> None:
        with use_threads():
            seen.append(_numbers())
            inside.set()
            leave.wait(10)
        left.set()

    second = threading.Thread(target=other)
    with ExitStack() as stack:
        stack.enter_context(use_threads())
        second.start()
        assert inside.wait(10)
        if not first_leaves_first:
            leave.set()
            assert left.wait(10)
            assert _numbers() == (3, 1)
    leave.set()
    second.join()
    _in_new_thread(lambda: seen.append(_numbers()))
    assert seen == [(3, 1), (3, 3)]
    assert _numbers() == (3, 3)


def test_models_use_one_thread_and_the_caller_its_own_number_between_chunks() -> None:
    seen = set[int]()

    class Watched(MarkovPredictor):
        def __call__(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
            seen.add(torch.get_num_threads())
            return super().__call__(ids, state)

    model = Watched(Vocabulary(["a", "b", "c"]), torch.full((4, 4), 0.25))
    charloom.evaluate(model, "abcabc")
    for _ in charloom.stream(model, "abc", 5):
        assert torch.get_num_threads() == 3
    assert seen == {1}


@pytest.mark.parametrize("limit", ["OMP_THREAD_LIMIT=1", "OMP_DYNAMIC=true"])
def test_fewer_threads_than_requested_give_the_same_result(limit: str) -> None:
    """OpenMP may start fewer; then a thread has more rows than a product with few rows takes at once."""
    code = """
import torch, charloom
layer = charloom.layers.LSTM(512, 1024)
inputs = torch.randn(1, 8, 512)
torch.set_num_threads(2)
with torch.no_grad():
    found, _ = layer(inputs)
    expected = torch.cat([layer(inputs[:, b : b + 1])[0] for b in range(8)], 1)
assert torch.equal(found, expected)
"""
    name, value = limit.split("=")
    environment = {key: set_ for key, set_ in os.environ.items() if key != "OMP_NUM_THREADS"} | {name: value}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=300)
