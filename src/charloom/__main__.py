"""``charloom`` and ``python -m charloom``: the entry point of the command."""

import sys

from charloom.cli import stopping


def main() -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 called wrongly, 128 + n stopped by signal n."""
    try:
        stopping.stop_on_signals(__file__)
        from charloom.cli.app import run_command_line

        status = run_command_line(sys.argv[1:])
    except BaseException:
        stopping.leave_if_asked()  # some library may have made another error of the signal's exception
        raise
    stopping.exit_at_once(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
