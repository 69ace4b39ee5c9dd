"""Every command: exit status 2 for invalid calls, 1 for failures, 0 for success; and the help."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest import mock

import pytest

import charloom
from charloom.cli.app import COMMAND_LINE, app
from process import SMALL, call, environment, run

_VALID = {
    "train": ["fox.txt", "--output", "new"],
    "sweep": ["fox.txt", "--output", "new", "--num-seeds", "2"],
    "generate": ["MODEL", "--num-chars", "3"],
    "evaluate": ["MODEL", "fox.txt"],
    "compress": ["fox.txt", "-m", "MODEL", "-o", "-"],
    "decompress": ["fox.txt.loom", "-m", "MODEL", "-o", "-"],
    "forecast": ["sales.csv", "--no-backtest"],
    "export": ["MODEL", "--to", "onnx"],
    "info": ["MODEL"],
    "doctor": [],
    "recipes": ["section"],
    "cache": [],
}
"""A valid call of each command; MODEL stands for a model's folder."""

_CONTRADICTIONS = {
    "train": [
        ["--tied-output"],
        ["--patience", "5", "--validation-fraction", "0"],
        ["--cell", "gru", "--nonlinearity", "relu"],
        ["--batch-size", "100000"],
        ["--extend-vocabulary"],
        ["--resume", "MODEL", "--recipe", "section"],
        ["--recipe", "none"],
        ["--recipe", "none.toml"],
        ["--recipe", "wrong.toml"],
        ["--device", "abacus"],
        ["--threads", "1024"],
    ],
    "sweep": [
        ["--vary", "seed=1,2"],
        ["--vary", "hidden-size"],
        ["--vary", "hiden-size=4"],
        ["--vary", "hidden-size=4,0"],
        ["--vary", "hidden-size=4", "--vary", "hidden-size=8"],
        ["--combinations", "wrong.toml"],
        ["--combinations", "deep.toml"],
        ["--recipe", "deep.toml"],
        ["--combinations", "long.toml"],
        ["--recipe", "long.toml"],
        ["--combinations", "none-listed.toml"],
        ["--recipe", "wrong.toml"],
    ],
    "generate": [
        ["--temperature", "1", "--power", "1"],
        ["--num-samples", "1000000000"],
        ["--stop", ""],
        ["--prefix", ""],
        ["--min-copied-chars", "8"],
        ["--device", "abacus"],
    ],
    "evaluate": [
        ["--by-char", "--by-line"],
        ["--by-line", "--json"],
        ["--top", "3"],
        ["--sort", "bits"],
        ["--by-line", "--top", "0"],
        ["--device", "abacus"],
    ],
    "compress": [["--keep", "--remove"], ["--remove"], ["other.txt"], ["--plot", "a.png"], ["--report"]],
    "decompress": [["--keep", "--remove"], ["--remove"], ["other.loom"], ["--record", "x"], ["--record", "9-2"]],
    "forecast": [
        ["--num-lags", "0"],
        ["--held-out", "30"],
        ["--level", "95"],
        ["--missing", "drop"],
        ["--season", "80"],
        ["--plot", "a.txt"],
        ["--num-paths", "20", "--members", "50", "--epochs", "0"],
    ],
    "export": [["MODEL"], ["--output", "none/model.onnx"], ["--output", "fox.txt"], ["--output", "."]],
    "info": [["MODEL"]],
    "doctor": [["more"]],
    "recipes": [["section"], [], ["section", "section"]],
    "cache": [["more"]],
}
"""Changes that make the valid call invalid."""


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Returns the types of an option's values, of each value if it takes several."""
    inner = (
        [part for part in get_args(hint) if part not in (type(None), ...)] if get_origin(hint) is not Literal else []
    )
    return tuple(kind for part in inner for kind in _kinds(part)) or (hint,)


def _wrong_values(hint: Any) -> Iterator[str]:
    kinds = _kinds(hint)
    if str in kinds:
        return  # a column's header, or its number
    if int in kinds or float in kinds:
        yield from ("x", "", "-1", "nan")
    if int in kinds and float not in kinds:
        yield "1.5"
    if any(get_origin(kind) is Literal for kind in kinds):
        yield from ("bogus", "")
    if Path in kinds:
        yield ""


def _wrong_calls(command: str, every: bool) -> Iterator[list[str]]:
    """Yields wrong calls, with every wrong value of each option, or with -1 and one of the others in turn."""
    valid = _VALID[command]
    for more in (["--nonsense"], ["--nonsense=3"], ["-Z"], *_CONTRADICTIONS[command]):
        if more and not (command in ("info", "recipes") and more == ["section"]):
            yield [*valid, *more]
    of_train = {argument.name for argument in app["train"].assemble_argument_collection()}
    for i, argument in enumerate(app[command].assemble_argument_collection()):
        if command == "sweep" and argument.name in of_train - {"--output"}:
            continue  # the same settings
        if argument.field_info.required:
            yield [word for word in valid if not word.startswith("-")] if argument.name.startswith("-") else []
        if not argument.name.startswith("--"):
            continue
        if bool not in _kinds(argument.hint) and (every or i % 3 == 0):
            yield [*valid, argument.name]
        by_line = ["--by-line"] if argument.name in ("--top", "--sort") else []
        values = list(_wrong_values(argument.hint))
        chosen = values if every or not values else {"-1", values[i % len(values)]}.intersection(values)
        yield from ([*valid, *by_line, f"{argument.name}={value}"] for value in chosen)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, char_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("calls")
    (folder / "fox.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 8)
    (folder / "sales.csv").write_text("x\n" + "".join(f"{3 * i % 7 + i}\n" for i in range(96)))
    (folder / "wrong.toml").write_text("[training]\nlearning_rate = -1\n")
    (folder / "deep.toml").write_text("combination = " + "[" * 100_000)
    (folder / "long.toml").write_text("[[combination]]\nepochs = " + "1" * 5000)
    (folder / "none-listed.toml").write_text("combination = []\n")
    call(folder, "compress", "fox.txt", "-m", char_model).done()
    return folder


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", _VALID)
def test_invalid_calls(command: str, every: bool, home: Path, char_model: Path) -> None:
    """An invalid call ends in one line and status 2 before any work starts."""
    before = sorted(home.iterdir())
    calls = list(_wrong_calls(command, every))
    assert len(calls) > 3
    found = {}
    for words in calls:
        result = call(home, command, *(str(char_model) if word == "MODEL" else word for word in words))
        lines = result.errors.splitlines()
        if result.status != 2 or len(lines) != 1 or not lines[0].startswith("charloom: error: "):
            found[" ".join(words)] = result
    assert not found
    assert sorted(home.iterdir()) == before


def test_the_same_calls_without_the_mistake_succeed(home: Path, char_model: Path) -> None:
    quick = {"train": [*SMALL, "--epochs", "1"], "forecast": ["--epochs", "1", "--members", "2", "--horizon", "4"]}
    for command, valid in _VALID.items():
        if command in ("sweep", "doctor"):
            continue  # these start processes; their own tests do it
        words = [str(char_model) if word == "MODEL" else word for word in valid]
        assert call(home, command, *words, *quick.get(command, [])).status == 0, command


@pytest.mark.parametrize(
    "words",
    [
        ["train", "none.txt"],
        ["train", "--resume", "none"],
        ["train", "fox.txt", "--init-from", "none"],
        ["generate", "none"],
        ["generate", "MODEL", "--prefix", "é"],
        ["evaluate", "none", "fox.txt"],
        ["evaluate", "MODEL", "none.txt"],
        ["compress", "none.txt", "-m", "MODEL"],
        ["decompress", "none.loom", "-m", "MODEL"],
        ["decompress", "fox.txt", "-m", "MODEL", "-o", "-"],
        ["forecast", "none.csv"],
        ["forecast", "fox.txt"],
        ["info", "none"],
    ],
)
def test_failures(words: list[str], home: Path, char_model: Path) -> None:
    call(home, *(str(char_model) if word == "MODEL" else word for word in words)).error(1)


@pytest.mark.parametrize("command", ["train", "evaluate", "compress", "forecast", "generate", "info"])
def test_two_hyphens_end_options(command: str, tmp_path: Path, char_model: Path) -> None:
    """Arguments after ``--`` are positional, even if they start with a hyphen."""
    for name in ("-dash", "--output", "--help", "-m"):
        (tmp_path / name).write_text("the quick brown fox jumps over the lazy dog\n" * 8)
        words = {
            "train": [*SMALL, "--epochs", "1", "--output", "new", "--force", "--", name],
            "evaluate": ["--json", "--", str(char_model), name],
            "compress": ["-m", str(char_model), "-o", "-", "--", name],
            "forecast": ["--", name],
            "generate": ["--", name],
            "info": ["--", name],
        }[command]
        result = call(tmp_path, command, *words)
        if command in ("train", "evaluate", "compress"):
            assert result.status == 0, result
        else:  # the file is found, but is not of these kinds
            assert name in result.error(1)


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_help_shows_only_defaults_with_a_value(command: str, tmp_path: Path) -> None:
    """The description of an option without a fixed default states its default in words."""
    shown = " ".join(call(tmp_path, command, "--help").done().replace("│", " ").split())
    assert "[default: 256]" in shown
    for empty in ("", "()", "None"):
        assert f"[default: {empty}]" not in shown


def test_help_needs_no_torch(tmp_path: Path) -> None:
    """Neither do the help of a command, the version, and errors in the call."""
    for arguments in ([], ["--help"], ["train", "--help"], ["--version"], ["train", "--nonsense"], ["bogus"]):
        command = [sys.executable, "-X", "importtime", "-m", "charloom", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(tmp_path), check=False)
        assert done.returncode == (2 if arguments in (["train", "--nonsense"], ["bogus"]) else 0)
        assert "charloom.cli.train" in done.stderr
        assert " torch\n" not in done.stderr
    assert run(tmp_path, "--version", new=True).done().strip() == charloom.__version__
    assert run(tmp_path, "bogus", new=True).error(2) == "unknown command 'bogus' (see charloom --help)"
    for command_name in ("train", "generate", "evaluate", "info", "recipes"):
        assert f"Usage: charloom {command_name}" in call(tmp_path, command_name, "--help").done()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["info", "a", "b", "c"], "unexpected arguments: b c (see --help)"),
        (["cache", "a"], "unexpected argument: a (see --help)"),
        (["train", "--epochs", "x"], "--epochs is 'x': it must be an integer (see --help)"),
        (["train", "--learning-rate", "x"], "--learning-rate is 'x': it must be a number (see --help)"),
        (["train", "--lowercase=x"], "--lowercase is 'x': it must be true or false (see --help)"),
        (["train", "--cell", "foo"], "--cell is 'foo': choose one of rnn, gru, lstm (see --help)"),
        (
            ["evaluate", "m", "a", "--sort", "x"],
            "--sort is 'x': choose one of bits, bits-per-char, bits-per-word, rarity (see --help)",
        ),
        (["train", "--epochs"], "--epochs requires a value (see --help)"),
        (["compress", "a", "-m"], "-m requires a value (see --help)"),
        (["compress", "a"], "--model is missing: pass the folder of a model, or set CHARLOOM_MODEL"),
        (["sweep", "a"], "--output is missing: pass a folder for the results (see --help)"),
        (["generate"], "MODEL is missing (see --help)"),
        (["evaluate", "m"], "FILE is missing (see --help)"),
        (["trian"], "unknown command 'trian': did you mean train? (see charloom --help)"),
        (["--nonsense"], "unknown option '--nonsense' (see charloom --help)"),
        (
            ["evaluate", "m", "-q"],
            "unknown option -q: for a file with this name, pass ./-q or put it after -- (see --help)",
        ),
        (["info", ""], "MODEL is empty: pass . for the current folder (see --help)"),
    ],
)
def test_errors_of_the_call_have_one_form(words: list[str], message: str, tmp_path: Path) -> None:
    assert call(tmp_path, *words).error(2) == message


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("train", "decrease --hidden-size"),
        ("compress", "use a smaller input or fewer threads"),
        ("decompress", "use fewer threads with --threads"),
        ("forecast", "decrease --num-paths or --horizon"),
        ("generate", "decrease --num-samples or --num-chars"),
        ("evaluate", "use a smaller input"),
    ],
)
def test_a_lack_of_memory(command: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy names only options that the command has."""

    failing = mock.Mock(side_effect=MemoryError)
    failing.name = app.name
    command_line = dataclasses.replace(COMMAND_LINE, app=failing)
    monkeypatch.setattr("charloom.cli.app.COMMAND_LINE", command_line)
    message = call(tmp_path, command).error(1)
    assert message.startswith(f"out of memory: {remedy}")
    options = {name for argument in app[command].assemble_argument_collection() for name in argument.names}
    assert set(re.findall(r"--[a-z-]+", message)) <= options
    assert "threads" not in message or "--threads" in options
