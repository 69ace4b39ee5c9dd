"""The rules of the architecture: imports between layers, lengths of files, the public interface."""

import ast
import graphlib
import importlib
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

import charloom
import charloom.errors
import charloom_codec
import file_map
from charloom.cli.app import run_command_line
from charloom.errors import Message
from native import INSTRUCTION_SETS

_ROOT = Path(__file__).parent.parent
_CODEC, _SOURCE = file_map.SOURCES
_MODULES = [file for source in file_map.SOURCES for file in sorted(source.rglob("*.py"))]
_MAX_LENGTH = 300


def _place(file: Path) -> Path:
    """Returns the path of a module, from its package."""
    return file.relative_to(_CODEC if file.is_relative_to(_CODEC) else _SOURCE)


def _name(file: Path) -> str:
    source = _CODEC if file.is_relative_to(_CODEC) else _SOURCE
    parts = file.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(file: Path) -> set[str]:
    """Returns the modules of both packages that a file imports, within functions too, but not under TYPE_CHECKING."""
    names = {_name(module) for module in _MODULES}
    found = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped.update(node.body)
        if isinstance(node, ast.ImportFrom) and node.module and node not in skipped:
            assert node.level == 0, f"{file}: relative import"
            deep = {f"{node.module}.{alias.name}" for alias in node.names} & names
            found |= deep or ({node.module} & names)
    return found - {_name(file)}


@pytest.mark.parametrize("source", file_map.SOURCES, ids=lambda source: source.name)
def test_modules_import_only_from_layers_below(source: Path) -> None:
    """``charloom`` may import every module of ``charloom_codec``, which imports none of it."""
    order = {name: level for level, names in enumerate(file_map.layers(source.name)) for name in names}
    for file in source.rglob("*.py"):
        package, *parts = _name(file).split(".")
        for imported in _imports(file):
            if source == _CODEC:
                assert imported.split(".")[0] == package, f"{_name(file)} imports {imported}"
        if not parts:
            continue
        assert parts[0] in order, f"{file} is in no layer of ARCHITECTURE.md"
        rooms = [name.split(".")[1] for name in _imports(file) if name.startswith(f"{package}.")]
        for room in rooms:
            assert room == parts[0] or order[room] < order[parts[0]], (
                f"{_name(file)} imports from {room}, which is not below it"
            )


@pytest.mark.parametrize("source", file_map.SOURCES, ids=lambda source: source.name)
def test_every_layer_is_there(source: Path) -> None:
    rooms = {_name(file).split(".")[1] for file in source.rglob("*.py") if "." in _name(file)}
    assert {name for names in file_map.layers(source.name) for name in names} == rooms


def test_the_map_has_every_file() -> None:
    """The modules with their first sentences; every file of the kernels by its name."""
    assert file_map.written() == file_map.file_map(), "python tests/support/file_map.py writes the list"
    page = file_map.PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"\w+\.(?:h|cpp)", page))
    kernels = [file for folder in ("kernels", "codec/kernels") for file in (_ROOT / folder).rglob("*.*")]
    assert {file.name for file in kernels} == named


def test_no_cycles() -> None:
    graph = {_name(file): _imports(file) for file in _MODULES}
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("file", [*_MODULES, *Path(__file__).parent.rglob("*.py")], ids=lambda file: file.name)
def test_files_are_short_and_named_for_what_they_hold(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= _MAX_LENGTH
    assert file.stem not in {"utils", "util", "common", "helpers", "helper", "misc"}


def test_every_module_has_its_test_file() -> None:
    """In the folder of its package: ``text/batching.py`` in ``tests/text/test_batching.py``.

    The tests of ``charloom_codec`` are in ``tests/codec``, or beside those of charloom, which test both.
    """
    tests = Path(__file__).parent
    missing = []
    for file in _MODULES:
        place = _place(file).with_name(f"test_{file.name}")
        folders = [tests, tests / "codec"] if file.is_relative_to(_CODEC) else [tests]
        if file.name != "__init__.py" and not any((folder / place).exists() for folder in folders):
            missing.append(_name(file))
    assert not missing


def test_all_equals_the_exports_of_the_module() -> None:
    """``__all__`` has the stub's imports and every error that the library raises, each with a docstring."""
    stub = ast.parse((_SOURCE / "__init__.pyi").read_text(encoding="utf-8"))
    imported = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(vars(charloom)["__all__"]) == sorted(dir(charloom)) == sorted(map(str, imported))
    errors = {name for name, one in vars(charloom.errors).items() if isinstance(one, type) and issubclass(one, Message)}
    assert errors - {"Message"} <= set(vars(charloom)["__all__"])
    for name in vars(charloom)["__all__"]:
        assert getattr(getattr(charloom, name), "__doc__", None), f"{name} has no docstring"


def test_every_module_has_a_docstring() -> None:
    for file in _MODULES:
        module = importlib.import_module(_name(file))
        assert module.__doc__, file


def test_the_public_names_of_the_codec_are_those_of_charloom() -> None:
    for name in set(vars(charloom_codec)["__all__"]) - {"__version__"}:
        assert getattr(charloom_codec, name) is getattr(charloom, name)


def test_importing_charloom_imports_no_torch() -> None:
    code = (
        "import sys, charloom, charloom.cli.app; sys.exit(bool({'torch', 'matplotlib', 'numpy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_uses_training_through_runs() -> None:
    """It imports only events of ``charloom.training``; everything else comes from ``runs``."""
    for file in (_SOURCE / "cli").glob("*.py"):
        of_training = {name for name in _imports(file) if name.startswith("charloom.training")}
        assert of_training <= {"charloom.training.events"}, file.name


@pytest.mark.skipif(not INSTRUCTION_SETS, reason="no native kernels")
def _entered(*words: str) -> set[tuple[str, str]]:
    """Yields the set of files and functions of the package that a command enters, in all its threads."""
    entered: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        for source, start in ((_SOURCE, _SOURCE), (_CODEC, _CODEC.parent)):
            if event == "call" and frame.f_code.co_filename.startswith(f"{source}/"):
                entered.add((str(Path(frame.f_code.co_filename).relative_to(start)), frame.f_code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        assert run_command_line(list(words)) == 0
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return entered


def _path(heading: str) -> list[tuple[str, str]]:
    """Returns the files and functions of a numbered list in ARCHITECTURE.md."""
    part = file_map.PAGE.read_text(encoding="utf-8").partition(heading)[2]
    lines = part[part.index("\n1. ") + 1 :].partition("\n\n")[0].splitlines()
    numbered = [line for line in lines if re.match(r"\d+\. ", line)]
    stops = [
        (found[1], found[2])
        for line in numbered
        if (found := re.match(r"\d+\. `([\w/]+\.py)`(?:, `([\w.]+)`)?:", line))
    ]
    assert len(stops) == len(numbered) > 9
    return stops


def test_the_path_of_a_character_is_correct_and_short(tmp_path: Path) -> None:
    """Every stop is a function that a training enters; at most 20 stops in 12 files."""
    stops = _path("## The path of a character\n")
    assert len(stops) <= 20
    assert len({file for file, _ in stops}) <= 12
    options = ["--epochs", "1", "--max-chars", "2000", "--recipe", "section", "--device", "cpu"]
    entered = _entered("train", "python-reference", *options, "--output", str(tmp_path / "model"))
    assert not set(stops) - entered


def test_the_path_of_a_byte_is_correct_and_short(char_model: Path, tmp_path: Path) -> None:
    """Every stop is a file that a compression enters; all files of the codec but those of the model are listed."""
    text = tmp_path / "text"
    text.write_text("a fox and a dog\n" * 50)
    stops = {file for file, _ in _path("the path of a byte from `charloom compress`")}
    assert len(stops) <= 12
    entered = {
        file
        for file, function in _entered("compress", str(text), "--model", str(char_model))
        if function[0].islower() or "." in function  # not the body of a class, which an import runs
    }
    assert not stops - entered
    listed = ("charloom_codec/codec.py", "charloom_codec/engines/", "charloom_codec/format/", "charloom_codec/records/")
    assert {file for file in entered - stops if file.startswith(listed)} == set()
