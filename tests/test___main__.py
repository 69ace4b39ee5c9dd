"""The entry point within this process: exit statuses and signals. Real processes: tests/cli/test_stopping.py."""

import sys

import pytest

from charloom import __main__ as entry
from charloom.cli import app
from charloom_codec import __main__ as codec_entry
from charloom_codec.cli import stopping


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Returns the calls of ``stopping``, in order; no handler of this process is changed."""
    found: list[object] = []
    monkeypatch.setattr(stopping, "stop_on_signals", lambda file: found.append(("stop_on_signals", file)))
    monkeypatch.setattr(stopping, "exit_if_stopped", lambda: found.append("exit_if_stopped"))
    monkeypatch.setattr(stopping, "exit_at_once", lambda status: found.append(("exit_at_once", status)))
    return found


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_the_status_is_the_command_lines(status: int, calls: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        given.append(arguments)
        return status

    monkeypatch.setattr(app, "run_command_line", run)
    monkeypatch.setattr(sys, "argv", ["charloom", "info", "--help"])
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == status
    assert given == [["info", "--help"]]
    assert calls == [("stop_on_signals", codec_entry.__file__), ("exit_at_once", status)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_any_exception_is_attributed_to_a_signal_that_came(
    error: type[BaseException], calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: list[str]) -> int:
        raise error

    monkeypatch.setattr(app, "run_command_line", fail)
    with pytest.raises(error):
        entry.main()
    assert calls == [("stop_on_signals", codec_entry.__file__), "exit_if_stopped"]
