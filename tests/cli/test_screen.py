"""Output on terminals of any width."""

import io
import re

import pytest
from rich.console import Console

from charloom import InputError, SettingsError
from charloom.errors import Argument, pluralize
from charloom_codec.cli import screen


@pytest.mark.parametrize("columns", ["0", "1", "2", "-5", "40", "no number"])
def test_any_width_that_a_terminal_claims(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert screen.help_console().width >= 20  # in two columns rich may never end


@pytest.mark.parametrize("width", [80, 100, 104, 109, 110, 200])
def test_a_bar_keeps_its_times(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    bar = screen.work_progress(console, "epoch {task.fields[epoch]}/{task.total:.0f}", figures=True)
    figures = "perplexity 20.95, validation 21.69"
    if not screen.is_narrow(console):
        figures += ", 1,016,629 characters/s"
    bar.add_task("", total=300, completed=20, epoch=20, figures=figures)
    with console.capture() as captured:
        console.print(bar.get_renderable())
    (line,) = re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).splitlines()
    assert line.startswith("epoch 20/300 ")
    assert figures in line
    assert re.search(r"\d:\d\d:\d\d left -:--:--", line)


def test_singular_and_plural() -> None:
    assert [pluralize(n, "epoch") for n in (0, 1, 2000)] == ["0 epochs", "1 epoch", "2,000 epochs"]


def test_a_file_name_is_not_parsed_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A name may look like rich's fields and styles."""
    with screen.reading_progress("{task.fields[x]} [bold]a[/nothing]") as show:
        show(0.5)
        show(3, 4)
    assert capsys.readouterr() == ("", "")


def test_control_characters_are_escaped() -> None:
    assert screen.printable("a\x1b[2Jb\r\nc\td\u202e") == "a\\x1b[2Jb\nc\td\\x202e"


def test_a_table() -> None:
    console = Console(file=io.StringIO(), width=60)
    with console.capture() as captured:
        screen.show_table(console, ("name", "n"), [("a", "1"), ("bcd", "12")])
    assert [line.rstrip() for line in captured.get().splitlines()] == ["name   n", "a      1", "bcd   12"]


def test_errors_have_their_status_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert screen.exit_status(SettingsError("no")) == 2
    assert screen.exit_status(InputError("no", setting="prefix")) == 2
    assert screen.exit_status(InputError("no")) == 1
    screen.show_error("a\nb ", Argument("num_steps", 3))
    assert capsys.readouterr().err == "charloom: error: a b --num-steps 3\n"
