"""README and pages: their examples and command lines run, their scripts, links and pictures exist."""

import os
import re
import shlex
from pathlib import Path

import pytest

import charloom
from charloom import CorpusUnavailableError, load_corpus
from process import call

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)

_LINES = "".join(
    f"12:0{n % 6}:{n % 60:02} host{n % 3} sshd[{n * 7 % 900}]: session opened for user u{n % 5}\n" for n in range(60)
)
_BOOK = (
    "Chapter 1\n\nIt was the best of times, it was the worst of times, it was the age of wisdom, it was the age of\n"
    "foolishness, it was the epoch of belief, it was the epoch of incredulity; we had everything before us.\n"
)
_FILES = {
    "mybook.txt": _BOOK * 12,
    "chapter.txt": _BOOK * 3,
    "logs/monday.log": _LINES,
    "today.log": _LINES[-2000:],
    "first.txt": _BOOK * 20,
    "rest.txt": _BOOK * 2,
    "letter.txt": _BOOK,
    "letters.txt": _BOOK.replace("times", "days; we both,") * 8,
    "sales.csv": "month,units\n"
    + "".join(f"{2001 + n // 12}-{n % 12 + 1:02},{90 + n + n * 7 % 12}\n" for n in range(96)),
}
"""Files of the reader that the pages' commands use."""


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


def _blocks(page: Path) -> list[tuple[str, str]]:
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def _commands(block: str) -> list[list[str]]:
    """Returns the arguments of the ``charloom`` commands of a block."""
    lines = [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("charloom ")]
    return [line[1:] for line in lines if "COMMAND" not in line]


@pytest.mark.usefixtures("forked_workers", "kept_engines")
@pytest.mark.parametrize("page", [page for page in _PAGES if _blocks(page)], ids=_name)
def test_examples_of_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a page's blocks from top to bottom in one folder with the reader's files; long runs are shortened."""
    for name, text in _FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "photo.bin").write_bytes(bytes(range(256)) * 16)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, block in _blocks(page):
        if kind == "python":
            exec(compile(_with_available_corpus(block), _name(page), "exec"), names)
        elif not kind:
            for name, value in re.findall(r"^export (\w+)=(\w+)", block, re.MULTILINE):
                monkeypatch.setenv(name, value)
            for command in _commands(_with_available_corpus(block)):
                result = call(tmp_path, *_shorten(command))
                assert result.status == 0, (command, result.errors)


def _shorten(command: list[str]) -> list[str]:
    """Returns the command with one epoch, of 10,000 characters (named corpora, sweeps), or two networks (forecasts).

    ``watch`` reads its files to the end, and takes no threshold from held-out lines.
    """
    if command[0] == "forecast" and "--help" not in command:
        return [*command, "--members", "2", "--epochs", "5"]
    if command[0] == "watch":  # to the end of the file, without a threshold from held-out lines
        return [*(word for word in command if word != "--no-follow"), "--no-follow", "--bits", "10000"]
    if command[0] == "train" and not {"--resume", "--recipe"} & set(command):
        command = [*_without(command, "--epochs"), "--epochs", "1"]
    # The reader's own files are short already.
    named = len(command) == 1 or command[1] in ("time-machine", "python-reference") or command[1].startswith("--")
    if not (command[0] == "sweep" or (command[0] == "train" and named)) or "--resume" in command:
        return command
    return [*_without(command, "--epochs", "--num-seeds", "--max-chars"), "--epochs", "1", "--max-chars", "10000"]


def _without(command: list[str], *options: str) -> list[str]:
    """Returns the command without options and their values."""
    return [word for i, word in enumerate(command) if not {word, command[i - 1]} & {*options}]


def _with_available_corpus(block: str) -> str:
    """Returns the block, with the corpus of the Python installation if The Time Machine is unavailable."""
    try:
        load_corpus("time-machine")
    except CorpusUnavailableError:
        return re.sub(r"\btime-machine\b", "python-reference", block)
    return block


def test_scripts_links_and_pictures_exist() -> None:
    for page in _PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"\bRATIO\b|^[A-Z]+_[A-Z]+$", text, re.MULTILINE)  # placeholders
        for script in set(re.findall(r"\bscripts/[\w-]+", text)):
            assert os.access(_ROOT / script, os.X_OK), f"{_name(page)}: {script}"
        for linked in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", _BLOCK.sub("", text)):
            assert (page.parent / linked).exists(), f"{_name(page)}: {linked}"


def test_reference_has_every_public_name() -> None:
    reference = (_ROOT / "docs" / "reference" / "library.md").read_text(encoding="utf-8")
    errors = {name for name in dir(charloom) if name.endswith(("Error", "Warning"))}  # documented by their module
    named = set(re.findall(r":: charloom\.(\w+)", reference)) | errors | {"__version__"}
    assert set(dir(charloom)) <= named, set(dir(charloom)) - named
