"""Signals end the process in one line at any moment, and nothing half-written is left.

A signal raises ``Stopped`` in the main thread, so that files that are being written are removed and locks are freed.
Two things keep Python from doing just that by itself. An exception raised within an import leaves half a module behind,
and some libraries catch it there: while anything is being imported, the exception waits for the import's end. And an
exception that is raised in a destructor or a callback is printed and lost: until ``Stopped`` is being handled, it is
raised again and again.
"""

import atexit
import os
import signal
import sys
import time
from types import FrameType

SIGNALS = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
)
MESSAGE = "stopped"
_AGAIN_SECONDS = 0.02
PATIENCE = 1.0
"""Seconds after a signal in which an import may end, or a cleanup; later the process ends at once if a signal comes."""


class Stopped(KeyboardInterrupt):
    """The process is to end.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _State:
    """Signal state of this process.

    Attributes:
        entry: The file of its first function; None if signals do not end it in this module's way.
        number: The signal that came.
        since: When it came, by ``time.monotonic``.
    """

    entry: str | None = None
    number: int | None = None
    since = 0.0


def listened_to() -> list[signal.Signals]:
    """The signals that end this process: all but those that the starting process has it ignore (nohup, ``&``)."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def stop_on_signals(entry: str) -> None:
    """Makes each of ``listened_to`` raise ``Stopped``. For the process' own command line: call it first.

    Args:
        entry: The file of the function that calls this, in which nobody handles exceptions.
    """
    _State.entry = entry
    atexit.register(_ignore)  # first, and so called last
    for number in listened_to():
        signal.signal(number, _stop)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda _, frame: _raise(frame))


def leave_if_asked() -> None:
    """Ends the process here if a signal came."""
    if _State.number is not None:
        _leave()


def exit_at_once(status: int) -> None:
    """Call it when all is done and said: a signal now ends the process with the status that it has anyway."""
    if _State.entry is None:
        return
    _State.number = None
    _wait(0)
    for number in listened_to():
        signal.signal(number, lambda *_: os._exit(status))


def _ignore() -> None:
    """Python takes its handlers away as it ends, but for this: a signal would then kill a process whose work is done.

    To block signals would not do: that is for each thread, and PyTorch has others.
    """
    for number in listened_to():
        signal.signal(number, signal.SIG_IGN)


def _leave() -> None:
    number, _State.number = _State.number or signal.SIGINT, None  # once: the alarm may come in here
    if "charloom.io.atomic" in sys.modules:
        sys.modules["charloom.io.atomic"].remove_unfinished()
    os.write(2, f"charloom: error: {MESSAGE}\n".encode())
    os._exit(128 + number)


def _stop(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if _State.number is None:
        _State.number, _State.since = number, now
    elif now - _State.since > PATIENCE:  # the user asks again: something hangs
        _leave()
    _raise(frame)


def _raise(frame: FrameType | None) -> None:
    if _State.number is None:
        return
    will_come_again = _wait(_AGAIN_SECONDS)
    if _is_handled(sys.exc_info()[1]):
        return
    if frame is not None and frame.f_code.co_filename in (_State.entry, __file__):
        _leave()  # before the command, or after it: nobody is there to handle an exception
    if not _is_importing(frame):
        raise Stopped(_State.number)
    if not will_come_again or time.monotonic() - _State.since > PATIENCE:
        _leave()


def _wait(seconds: float) -> bool:
    """Sets the alarm, or none for 0. Returns False if this system has none."""
    if not hasattr(signal, "setitimer"):
        return False
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True


def _is_handled(error: BaseException | None) -> bool:
    """Tells if the interrupted code runs because of ``Stopped``: an ``except``, a ``finally``, an ``__exit__``."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Stopped):
            return True
        seen.add(id(error))
        error = error.__context__
    return False


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
