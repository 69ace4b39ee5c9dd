"""Ctrl-C, SIGTERM and SIGHUP during training: end it between two steps, and save.

A file of its own: a signal that arrives within ``stopping.py`` ends the process without any cleanup.
"""

import signal
import time
from types import FrameType

from charloom.cli.stopping import PATIENCE, listened_to


class Interruption:
    """While entered, the first signal asks for the end; as a listener it then stops training. A later one kills.

    Signals that come within a second of the first are one request: shells and services often send two.

    Attributes:
        requested: The signal that came, if one did.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._since = 0.0
        self._before: dict[signal.Signals, object] = {}

    @property
    def exit_status(self) -> int:
        """0, or what a shell expects of a program that a signal stopped."""
        return 128 + self.requested if self.requested else 0

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._request) for number in listened_to()}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def __call__(self, event: object) -> None:
        """Stops training if that was asked for. From ``SavingStarted`` on, signals are ignored."""
        from charloom.training.events import SavingStarted, StopTraining

        if isinstance(event, SavingStarted):
            for number in self._before:
                signal.signal(number, signal.SIG_IGN)
        elif self.requested:
            raise StopTraining

    def _request(self, number: int, _: FrameType | None) -> None:
        if self.requested is None:
            self.requested, self._since = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._since > PATIENCE:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal gave us
