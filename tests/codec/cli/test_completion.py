"""The completion of commands and options, in real shells with a home of their own."""

import functools
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from process import PATIENCE, environment

_PLACES = {
    "bash": ".local/share/bash-completion/completions/{}",
    "zsh": ".zsh/completions/_cyclopts_{}",
    "fish": ".config/fish/completions/{}.fish",
}
"""Path from which a shell loads the completion of a program."""
_HomeWith: TypeAlias = Callable[[str, str], tuple[Path, str]]
_MODULES = {"charloom": "charloom", "charloom-codec": "charloom_codec"}


def _install(home: Path, program: str, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", _MODULES[program], "--install-completion", *words],
        cwd=home,
        capture_output=True,
        text=True,
        env={**environment(home), "SHELL": "/bin/false", **variables},
        check=False,
    )


@pytest.fixture(scope="module")
def home_with(tmp_path_factory: pytest.TempPathFactory) -> _HomeWith:
    """A function that returns a home with the completion of a program in a shell, and what the command printed."""

    @functools.cache
    def install(program: str, shell: str) -> tuple[Path, str]:
        home = tmp_path_factory.mktemp("home")
        (home / "my book.txt").touch()
        done = _install(home, program, shell)
        assert done.returncode == 0
        return home, done.stdout

    return install


def _needs(shell: str) -> str:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    return shell


def _types(home: Path, command: list[str], start: str, typed: str, expected: str) -> str:
    """Types a line in an interactive shell on a terminal, and returns the screen when it shows the expected text."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        variables = {**environment(home), "TERM": "dumb", "PS1": "$ ", "LC_ALL": "C.UTF-8"}
        os.execvpe(command[0], command, variables)
    screen, ends_at = "", time.monotonic() + PATIENCE / 10
    try:
        os.write(terminal, f"{start}\necho READY\n".encode())
        is_ready = False
        while expected not in screen and time.monotonic() < ends_at:
            if select.select([terminal], [], [], 0.1)[0]:
                screen += os.read(terminal, 4096).decode(errors="replace")
            if not is_ready and "\nREADY" in screen:  # typed only now: a starting shell discards keys
                os.write(terminal, typed.encode())
                is_ready = True
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)
    return screen


@pytest.mark.parametrize("program", _MODULES)
@pytest.mark.parametrize("shell", _PLACES)
def test_the_script_is_where_the_shell_looks_for_it(shell: str, program: str, tmp_path: Path) -> None:
    done = _install(tmp_path, program, shell)
    assert (done.returncode, done.stderr) == (0, "")
    script = tmp_path / _PLACES[shell].format(program)
    assert str(script) in done.stdout
    assert "tart a new shell" in done.stdout
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [script]
    assert subprocess.run([_needs(shell), "-n", script], check=False).returncode == 0
    again = _install(tmp_path, program, shell)  # replaces its own script
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("program", "typed", "expected"),
    [
        ("charloom", "charloom gen\t", "charloom generate"),
        ("charloom", "charloom train --hidden\t", "--hidden-size"),
        ("charloom", "charloom train --cell l\t", "--cell lstm"),
        ("charloom", "charloom train my\t", "charloom train my\\ book.txt"),
        ("charloom", "charloom generate my\t", "charloom generate my\\ book.txt"),
        ("charloom", "charloom evaluate model my\t", "charloom evaluate model my\\ book.txt"),
        ("charloom-codec", "charloom-codec compress my\t", "charloom-codec compress my\\ book.txt"),
        ("charloom-codec", "charloom-codec dec\t", "charloom-codec decompress"),
        ("charloom-codec", "charloom-codec --install-completion z\t", "--install-completion zsh"),
        ("charloom-codec", "charloom-codec --install-completion=z\t", "--install-completion=zsh"),
    ],
)
def test_bash_completes(program: str, typed: str, expected: str, home_with: _HomeWith) -> None:
    home, _ = home_with(program, "bash")
    start = f"source {home / _PLACES['bash'].format(program)}"
    assert expected in _types(home, [_needs("bash"), "--norc", "--noprofile", "-i"], start, typed, expected)


@pytest.mark.parametrize(
    ("program", "typed", "expected"),
    [
        ("charloom", "charloom gen\t", "charloom generate"),
        ("charloom", "charloom train --hidd\t", "--hidden-size"),
        ("charloom", "charloom --install-completion f\t", "--install-completion fish"),
        ("charloom-codec", "charloom-codec --install-completion z\t", "--install-completion zsh"),
        ("charloom-codec", "charloom-codec --install-completion=f\t", "--install-completion=fish"),
    ],
)
def test_zsh_completes(program: str, typed: str, expected: str, home_with: _HomeWith) -> None:
    """With the lines that the command prints."""
    home, printed = home_with(program, "zsh")
    start = "\n".join(line.strip() for line in printed.splitlines() if line.startswith("    "))
    assert expected in _types(home, [_needs("zsh"), "-f", "-i"], start, typed, expected)


@pytest.mark.parametrize(
    ("program", "typed", "expected"),
    [
        ("charloom", "charloom gen", ["generate"]),
        ("charloom", "charloom train --hidd", ["--hidden-size"]),
        ("charloom", "charloom --install-completion ", ["bash", "fish", "zsh"]),
        ("charloom-codec", "charloom-codec --install-completion z", ["zsh"]),
        ("charloom-codec", "charloom-codec --install-completion=z", ["--install-completion=zsh"]),
    ],
)
def test_fish_completes(program: str, typed: str, expected: list[str], home_with: _HomeWith) -> None:
    home, _ = home_with(program, "fish")
    # fish loads completions only of programs that it finds.
    variables = environment(home, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    command = [_needs("fish"), "-c", f"complete --do-complete '{typed}'"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, env=variables, check=True)
    assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == expected


@pytest.mark.parametrize("program", _MODULES)
def test_the_shell_after_an_equals_sign(program: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", _MODULES[program]]
    for option, status in (("--install-completion=fish", 0), ("--install-completion=", 2), ("--install=fish", 2)):
        done = subprocess.run([*command, option], capture_output=True, env=environment(tmp_path), check=False)
        assert done.returncode == status
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [f"{program}.fish"]


def test_the_running_shell_is_the_default(tmp_path: Path) -> None:
    done = _install(tmp_path, "charloom", SHELL="/usr/bin/fish")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / _PLACES["fish"].format("charloom")).exists()
    unknown = _install(tmp_path, "charloom", SHELL="/bin/tcsh")
    assert unknown.returncode == 2
    assert unknown.stderr == (
        "charloom: error: the shell that runs this command is not known: pass one of bash, zsh, fish\n"
    )
    assert _install(tmp_path, "charloom", "tcsh").returncode == 2


def test_folders_of_the_environment(tmp_path: Path) -> None:
    _install(tmp_path, "charloom", "bash", XDG_DATA_HOME=str(tmp_path / "data"))
    assert (tmp_path / "data" / "bash-completion" / "completions" / "charloom").exists()
    _install(tmp_path, "charloom", "fish", XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert (tmp_path / "config" / "fish" / "completions" / "charloom.fish").exists()


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    script = tmp_path / _PLACES["fish"].format("charloom")
    script.parent.mkdir(parents=True)
    script.write_text("complete -c charloom -a mine\n")
    done = _install(tmp_path, "charloom", "fish")
    assert done.returncode == 1
    assert done.stderr == (
        f"charloom: error: {script}: the file exists and is not a script of this program; move or remove it\n"
    )
    assert script.read_text() == "complete -c charloom -a mine\n"


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("")  # a file: unlike permissions, it stops root too
    done = _install(tmp_path, "charloom", "fish")
    assert done.returncode == 1
    assert done.stderr == f"charloom: error: {tmp_path / '.config/fish/completions'}: not a directory\n"
