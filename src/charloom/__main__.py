"""``charloom`` and ``python -m charloom``: the entry point of the command."""

import sys

from charloom.cli import stopping


def main() -> None:
    """Runs the command line and exits with its status: see ``cli.app.run_command_line``."""
    try:
        stopping.stop_on_signals(__file__)
        # Imported after the handlers are installed: the imports take seconds, and Ctrl-C must end them, too.
        from charloom.cli.app import run_command_line

        status = run_command_line(sys.argv[1:])
    except BaseException:
        stopping.exit_if_stopped()  # a library may have converted the exception of the signal to another one
        raise
    stopping.exit_at_once(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
