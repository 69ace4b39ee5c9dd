"""``charloom-codec`` and ``python -m charloom_codec``: the entry point of the command."""

import importlib
import sys
from typing import NoReturn

from charloom_codec.cli import stopping


def run_program(module: str) -> NoReturn:
    """Runs the command line of this process, and exits with its status.

    Args:
        module: Name of a module with the function ``run_command_line``.
    """
    try:
        stopping.stop_on_signals(__file__)
        # Imported after the handlers are installed: the imports take seconds, and Ctrl-C must end them, too.
        status = importlib.import_module(module).run_command_line(sys.argv[1:])
    except BaseException:
        stopping.exit_if_stopped()  # a library may have converted the exception of the signal to another one
        raise
    stopping.exit_at_once(status)
    sys.exit(status)


def main() -> NoReturn:
    """Runs ``charloom-codec``."""
    run_program("charloom_codec.cli.app")


if __name__ == "__main__":
    main()
