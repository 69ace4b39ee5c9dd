"""``charloom`` and ``python -m charloom``: what the command is entered by, and Ctrl-C while it still loads."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 called wrongly, 128 + n stopped by signal n."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # who started us may have it ignored
        signal.signal(signal.SIGINT, _leave)
    from charloom.cli.app import run_command_line

    signal.signal(signal.SIGINT, before)
    sys.exit(run_command_line(sys.argv[1:]))


def _leave(number: int, _: FrameType | None) -> None:
    """Ends at once: an exception in the middle of an import would show where, and may be caught there."""
    os.write(2, b"charloom: error: stopped\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
