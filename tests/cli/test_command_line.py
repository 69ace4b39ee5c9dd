"""A command line of two commands: its arguments, the form of its errors, and exit statuses."""

import signal
from collections.abc import Callable
from typing import Annotated

import cyclopts
import pytest

from charloom_codec.cli.command_line import CommandLine, check_tokens
from charloom_codec.cli.options import Word
from charloom_codec.cli.stopping import Stopped
from charloom_codec.errors import CharloomError, SettingsError


def _command_line(action: Callable[[], int | None]) -> CommandLine:
    app = cyclopts.App(name="loom", config=(check_tokens,), suppress_keyboard_interrupt=False)

    @app.command
    def weave(*files: Word[str], width: Annotated[int, cyclopts.Parameter(name=["--width", "-w"])]) -> int | None:
        """Weave."""
        print(*files, width)  # noqa: T201
        return action()

    return CommandLine(app, {"--width": "the width of the cloth"}, {"weave": "weave less"})


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["weave"], "--width is missing: pass the width of the cloth (see --help)"),
        (["weave", "--width", "x"], "--width is 'x': it must be an integer (see --help)"),
        (["weave", "-w", "x"], "--width is 'x': it must be an integer (see --help)"),
        (["weave", "--width", "1.5"], "--width is 1.5: it must be an integer (see --help)"),
        (
            ["weave", "--widht=1", "--width", "1"],
            "unknown option --widht=1: did you mean --width? (see --help)",
        ),
        (["weev"], "unknown command 'weev': did you mean weave? (see loom --help)"),
    ],
)
def test_wrong_calls(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _command_line(lambda: None).run(words) == 2
    assert capsys.readouterr().err == f"loom: error: {error}\n"


@pytest.mark.parametrize("result", [None, 0, 1, 3])
def test_the_status_is_that_of_the_command(result: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert _command_line(lambda: result).run(["weave", "--width", "2", "-", "--", "--a", "-b"]) == (result or 0)
    assert capsys.readouterr().out == "- --a -b 2\n"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (CharloomError("torn"), 1, "torn"),
        (SettingsError("too wide", setting="width", value=9), 2, "--width is 9: too wide"),
        (FileNotFoundError(2, "No such file or directory", "wool"), 1, "wool: no such file or directory"),
        (MemoryError(), 1, "out of memory: weave less"),
        (RuntimeError("cannot allocate memory"), 1, "out of memory: weave less"),
        (KeyboardInterrupt(), 128 + signal.SIGINT, "stopped"),
        (Stopped(signal.SIGTERM), 128 + signal.SIGTERM, "stopped"),
    ],
)
def test_errors(error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert _command_line(fail).run(["weave", "--width", "2"]) == status
    assert capsys.readouterr().err == f"loom: error: {message}\n"


def test_an_unexpected_error_is_not_hidden() -> None:
    def fail() -> None:
        raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault"):
        _command_line(fail).run(["weave", "--width", "2"])


def test_a_closed_pipe_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise BrokenPipeError

    assert _command_line(fail).run(["weave", "--width", "2"]) == 0
    assert not capsys.readouterr().err
