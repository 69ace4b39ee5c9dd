"""Signals during training, sent to this process."""

import os
import signal
from collections.abc import Iterator

import pytest

from charloom.cli.interruption import Interruption
from charloom.training.events import SavingStarted, StopTraining

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def received() -> Iterator[list[int]]:
    """The signals that reached the handlers installed before; those handlers must be installed again afterwards."""
    found: list[int] = []
    handlers = [signal.signal(number, lambda number, _: found.append(number)) for number in _SIGNALS]
    ours = [signal.getsignal(number) for number in _SIGNALS]
    yield found
    assert [signal.getsignal(number) for number in _SIGNALS] == ours
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", _SIGNALS)
def test_the_first_signal_stops_training_between_two_steps(number: signal.Signals) -> None:
    with Interruption() as interruption:
        interruption(None)
        assert (interruption.requested, interruption.exit_status) == (None, 0)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)  # within a second: the same request
        with pytest.raises(StopTraining):
            interruption(None)
    assert (interruption.requested, interruption.exit_status) == (number, 128 + number)


def test_a_later_signal_reaches_the_previous_handler(received: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        assert received == []
        now[0] = 2.0
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGINT]


def test_signals_do_not_interrupt_saving() -> None:
    with Interruption() as interruption:
        interruption(SavingStarted())
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.requested is None
