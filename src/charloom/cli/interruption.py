"""Handling of Ctrl-C, SIGTERM and SIGHUP during training: the run stops after the current step and its model is saved.

For all other commands, ``stopping`` handles signals. This module is separate because a signal that interrupts code of
``stopping.py`` ends the process without cleanup.
"""

import signal
import time
from types import FrameType

from charloom_codec.cli.stopping import PATIENCE, handled_signals


class Interruption:
    """A context manager and listener that stops training after the first signal. A second signal ends the process.

    Signals within a second of the first one count as the same request, since shells and services often send two.

    Attributes:
        requested: The first signal received; None if there was none.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._since = 0.0
        self._before: dict[signal.Signals, object] = {}

    @property
    def exit_status(self) -> int:
        """Exit status: 0, or 128 + n for signal n, as shells define it."""
        return 128 + self.requested if self.requested else 0

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._request) for number in handled_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def __call__(self, event: object) -> None:
        """Stops training if a signal was received. From ``SavingStarted`` on, signals are ignored."""
        # Imported here: charloom.training imports PyTorch, for which "charloom --help" must not wait.
        from charloom.training.events import SavingStarted, StopTraining

        if isinstance(event, SavingStarted):
            # Saving takes seconds; a second, impatient Ctrl-C would lose the result of hours.
            for number in self._before:
                signal.signal(number, signal.SIG_IGN)
        elif self.requested:
            raise StopTraining  # from a listener, between two steps: weights and state are consistent here

    def _request(self, number: int, _: FrameType | None) -> None:
        if self.requested is None:
            self.requested, self._since = signal.Signals(number), time.monotonic()
        elif time.monotonic() - self._since > PATIENCE:
            self._restore()  # the handler of stopping.py then ends the process
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # a value that signal.signal returned
