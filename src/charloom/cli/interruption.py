"""Ctrl-C and SIGTERM during training: end it between two steps, and save."""

import signal
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first signal asks for the end; as a listener it then stops training. A second one kills.

    Attributes:
        requested: The signal that came, if one did.
    """

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    @property
    def exit_status(self) -> int:
        """0, or what a shell expects of a program that a signal stopped."""
        return 128 + self.requested if self.requested else 0

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._request) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._restore()

    def __call__(self, event: object) -> None:  # noqa: ARG002 - any event is a moment to stop at
        """Stops training if that was asked for."""
        from charloom.training.events import StopTraining

        if self.requested:
            raise StopTraining

    def _request(self, number: int, _: FrameType | None) -> None:
        self.requested = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal gave us
