"""What the README shows is run: its library example, its command lines, its scripts and pictures."""

import os
import re
import shlex
from pathlib import Path

import pytest

from charloom import CorpusUnavailableError, load_corpus
from charloom.cli.app import app

_ROOT = Path(__file__).parent.parent
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```(\w*)\n(.*?)```", _README, re.DOTALL)
_COMMANDS = [
    line.partition("#")[0].strip() for kind, block in _BLOCKS if not kind for line in block.splitlines() if line.strip()
]


def test_the_library_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as it stands; where The Time Machine cannot be had, on the text that Python carries."""
    (example, compression, accelerated) = [block for kind, block in _BLOCKS if kind == "python"]
    try:
        load_corpus("time-machine")
    except CorpusUnavailableError:
        example = example.replace('load_corpus("time-machine"', 'load_corpus("python-reference"')
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert str(names["text"]).startswith("time traveller")
    assert len(str(names["text"])) == len("time traveller") + 50
    assert len(capsys.readouterr().out.splitlines()) >= 2
    assert (tmp_path / "time-machine-model" / "config.json").exists()
    exec(compile(compression, "README.md", "exec"), names)
    exec(compile(accelerated, "README.md", "exec"), names)
    assert type(names["model"][0]).__module__.startswith("charloom")  # type: ignore[index]


@pytest.mark.parametrize("command", [c for c in _COMMANDS if c.startswith("charloom ")])
def test_command_lines_are_understood(command: str) -> None:
    function, *_ = app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)
    assert function.__name__ == shlex.split(command)[1]


def test_scripts_and_pictures_are_there() -> None:
    assert "RATIO" not in _README
    pages = [_README, (_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]
    for script in set(re.findall(r"\bscripts/[\w-]+", "".join(pages))):
        assert os.access(_ROOT / script, os.X_OK), script
    for linked in re.findall(r"\]\(([^)#:]+)\)", "".join(pages)):
        assert (_ROOT / linked).exists(), linked
