"""The option ``--install-completion``: completion of commands and options by the shell."""

import os
import re
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import cyclopts

from charloom_codec.cli import screen
from charloom_codec.errors import InputError, SettingsError
from charloom_codec.io.atomic import write_atomically

Shell: TypeAlias = Literal["bash", "zsh", "fish"]

_SIGNATURE = "cyclopts"
"""Text at the start of every generated script, in any case."""
_OPTION = "--install-completion"
_WORDS_OF_BASH = '  prev="${COMP_WORDS[COMP_CWORD-1]}"\n'
"""Line of a generated script after which the words of the command are known."""
_FILES_OF_BASH = 'COMPREPLY=( $(compgen -f -- "${cur}") )'
"""Completion of files in a generated script, which divides names at spaces. With ``-o default``, bash itself completes
files if the script has no match, also for arguments of which the script knows nothing."""


def add_install_completion(app: cyclopts.App) -> None:
    """Adds the command ``--install-completion`` to a program."""
    program = app.name[0]

    def install_completion(shell: Shell | None = None, /) -> None:
        """Install the completion of commands and options for a shell: bash, zsh or fish.

        The script is written to the folder from which the shell loads completions. Files such as .bashrc are not
        changed. Install it again after an upgrade.

        Parameters
        ----------
        shell
            The shell. Default: the shell that runs this command.
        """
        shell = shell or _running_shell()
        path = _script_path(shell, program)
        _refuse_file_of_others(path)
        script = _correct(app.generate_completion(shell=shell), shell)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically({path: script.encode()})
        screen.log().print(f"Wrote {screen.path_argument(path)}.\n{_next_step(shell, path)}")

    app.command(install_completion, name=_OPTION)
    app[_OPTION].usage = f"Usage: {program} {_OPTION} [SHELL]"


def split_install_completion(arguments: list[str]) -> list[str]:
    """Returns the arguments, with ``--install-completion=SHELL`` at their start as two."""
    # For cyclopts it is a command, whose name cannot be followed by a value.
    option, equals, shell = arguments[0].partition("=") if arguments else ("", "", "")
    return [option, shell, *arguments[1:]] if equals and option == _OPTION else arguments


def _correct(script: str, shell: Shell) -> str:
    """Returns a generated script that also completes the values of the option and, in bash, names with spaces."""
    shells = " ".join(get_args(Shell))
    if shell == "zsh":
        return re.sub(rf"'{_OPTION}(\[.*\])'", rf"'{_OPTION}=\1:shell:({shells})'", script)
    if shell == "fish":
        option = f"-l {_OPTION.removeprefix('--')} "
        return script.replace(option, f"{option}-x -a '{shells}' ")
    # For bash, an equals sign is a word of its own.
    values = f"""  if [[ $COMP_CWORD -gt 1 && ${{COMP_WORDS[1]}} == {_OPTION} ]]; then
    COMPREPLY=( $(compgen -W '{shells}' -- "$cur") )
    return
  fi
"""
    script = script.replace(_WORDS_OF_BASH, _WORDS_OF_BASH + values)
    return script.replace(_FILES_OF_BASH, "COMPREPLY=()").replace("complete -F ", "complete -o default -F ")


def _running_shell() -> Shell:
    """Returns the shell that runs this process. Raises SettingsError if it is unknown or not supported."""
    # Imported here: the module is not needed in any other call.
    from cyclopts.completion import ShellDetectionError, detect_shell

    choices = ", ".join(get_args(Shell))
    try:
        found = detect_shell()
    except ShellDetectionError:
        raise SettingsError(f"the shell that runs this command is not known: pass one of {choices}") from None
    if found == "powershell":
        raise SettingsError(f"there is no completion for {found}: pass one of {choices}")
    return found


def _script_path(shell: Shell, program: str) -> Path:
    """Returns the path from which a shell loads the completion of a program."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    bash = Path(os.environ.get("BASH_COMPLETION_USER_DIR") or data / "bash-completion")
    return {
        "bash": bash / "completions" / program,
        # zsh calls a function with the name of the file, and this is the name of the generated function.
        "zsh": Path.home() / ".zsh" / "completions" / f"_cyclopts_{program}",
        "fish": config / "fish" / "completions" / f"{program}.fish",
    }[shell]


def _refuse_file_of_others(path: Path) -> None:
    """Raises InputError if the path exists and is not a generated script."""
    # An earlier version of the script is replaced without a question.
    if path.exists() and _SIGNATURE not in path.read_text(encoding="utf-8", errors="replace")[:1000].lower():
        raise InputError(f"{path}: the file exists and is not a script of this program", hint="move or remove it")


def _next_step(shell: Shell, path: Path) -> str:
    """Returns the instructions that make a shell use the script."""
    script, folder = screen.path_argument(path), screen.path_argument(path.parent)
    return {
        "bash": "Start a new shell. Without the package bash-completion, add this line to ~/.bashrc first:\n"
        f"    source {script}",
        "zsh": "Add these lines to ~/.zshrc, unless it has them, and start a new shell:\n"
        f"    fpath=({folder} $fpath)\n    autoload -Uz compinit && compinit",
        "fish": "Start a new shell.",
    }[shell]
