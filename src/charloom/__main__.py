"""``charloom`` and ``python -m charloom``: the entry point of the command."""

from typing import NoReturn

from charloom_codec.__main__ import run_program


def main() -> NoReturn:
    """Runs ``charloom``."""
    run_program("charloom.cli.app")


if __name__ == "__main__":
    main()
