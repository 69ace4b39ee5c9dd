"""Handling of signals: they end the process at any time, with one line on standard error and no incomplete files.

A signal raises ``Stopped`` in the main thread, so that temporary files are removed and locks are released. Python's own
KeyboardInterrupt is not enough, for two reasons. An exception during an import leaves an incomplete module, and some
libraries catch it; therefore ``Stopped`` is raised after the import. An exception in a destructor or a callback is
printed and lost; therefore ``Stopped`` is raised repeatedly until it is being handled.
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
_RETRY_SECONDS = 0.02
"""Seconds after which ``Stopped`` is raised again."""
PATIENCE = 1.0
"""Seconds that an import or a cleanup has after a signal; another signal after that ends the process immediately."""


class Stopped(KeyboardInterrupt):
    """A signal requested the end of the process.

    Attributes:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _State:
    """Signal state of this process.

    Attributes:
        entry: File of its first function; None if ``stop_on_signals`` was not called.
        number: Number of the received signal; None if there was none.
        since: Time of the signal, by ``time.monotonic``.
    """

    entry: str | None = None
    number: int | None = None
    since = 0.0


def handled_signals() -> list[signal.Signals]:
    """Returns the signals that end this process."""
    # nohup and a shell's "&" start a process with signals ignored; they must stay ignored.
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def stop_on_signals(entry: str) -> None:
    """Installs handlers that raise ``Stopped``. The entry point of the command line calls this first.

    Args:
        entry: File of the calling function; a signal that interrupts code of this file ends the process, since no
            caller handles exceptions there.
    """
    _State.entry = entry
    atexit.register(_ignore_signals)  # atexit calls functions in reverse order: the first registered is last
    for number in handled_signals():
        signal.signal(number, _stop)
    if hasattr(signal, "setitimer"):  # Windows has none
        signal.signal(signal.SIGALRM, lambda _, frame: _raise(frame))


def exit_if_stopped() -> None:
    """Ends the process if a signal was received."""
    if _State.number is not None:
        _exit_now()


def exit_at_once(status: int) -> None:
    """Makes further signals end the process with its own exit status. Called when the command is complete."""
    # The command line runs within another program, such as a test: its handlers are left alone.
    if _State.entry is None:
        return
    _State.number = None
    _set_alarm(0)
    for number in handled_signals():
        signal.signal(number, lambda *_: os._exit(status))


def _ignore_signals() -> None:
    """Ignores signals while Python exits."""
    # Python restores the default handlers at exit, except for SIG_IGN. A signal would then kill a process whose work is
    # complete. Blocking signals is not enough: a mask is per thread, and PyTorch has threads of its own.
    for number in handled_signals():
        signal.signal(number, signal.SIG_IGN)


def _exit_now() -> None:
    """Removes temporary files, prints the message and ends the process."""
    # The state is reset first, since the alarm may interrupt this function.
    number, _State.number = _State.number or signal.SIGINT, None
    if "charloom_codec.io.atomic" in sys.modules:
        sys.modules["charloom_codec.io.atomic"].remove_unfinished()
    os.write(2, f"charloom: error: {MESSAGE}\n".encode())
    os._exit(128 + number)


def _stop(number: int, frame: FrameType | None) -> None:
    """Handles a signal: raises ``Stopped``, or ends the process if cleanup takes too long."""
    now = time.monotonic()
    if _State.number is None:
        _State.number, _State.since = number, now
    elif now - _State.since > PATIENCE:  # a second request: the cleanup hangs
        _exit_now()
    _raise(frame)


def _raise(frame: FrameType | None) -> None:
    """Raises ``Stopped`` unless it is being handled or an import is in progress; sets the alarm to try again."""
    if _State.number is None:
        return
    will_retry = _set_alarm(_RETRY_SECONDS)
    if _is_handled(sys.exc_info()[1]):
        return
    if frame is not None and frame.f_code.co_filename in (_State.entry, __file__):
        _exit_now()  # before or after the command, no caller handles an exception
    if not _is_importing(frame):
        raise Stopped(_State.number)
    if not will_retry or time.monotonic() - _State.since > PATIENCE:
        _exit_now()


def _set_alarm(seconds: float) -> bool:
    """Sets the alarm, or cancels it for 0. Returns False if the system has no alarms (Windows)."""
    if not hasattr(signal, "setitimer"):
        return False
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return True


def _is_handled(error: BaseException | None) -> bool:
    """Returns True if the interrupted code handles ``Stopped``: an ``except``, ``finally`` or ``__exit__``."""
    # A chain of contexts may be circular.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, Stopped):
            return True
        seen.add(id(error))
        error = error.__context__
    return False


def _is_importing(frame: FrameType | None) -> bool:
    """Returns True if a frame or one of its callers is in Python's import system."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
