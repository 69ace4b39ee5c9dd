"""The list of all modules in ARCHITECTURE.md, from their first sentences; as a program, writes it there."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
SOURCES = (_ROOT / "codec" / "src" / "charloom_codec", _ROOT / "src" / "charloom")
"""Folders of the packages, the lower one first."""
PAGE = _ROOT / "ARCHITECTURE.md"
_BETWEEN = re.compile(r"(?<=<!-- files -->\n).*(?=<!-- end of files -->)", re.DOTALL)


def _first_sentence(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]


def file_map() -> str:
    """Returns a list for each package, lowest first as in the tables of layers, with a line for each module."""
    lines = []
    for source in SOURCES:
        rooms = [room for row in layers(source.name) for room in row]
        for room in rooms:
            files = sorted((source / room).rglob("*.py")) if (source / room).is_dir() else [source / f"{room}.py"]
            lines += [
                f"- `{_name(file, source)}`: {_first_sentence(file)}\n" for file in files if file.name != "__init__.py"
            ]
    return "\n" + "".join(lines) + "\n"


def layers(package: str) -> list[list[str]]:
    """Returns the packages and modules in the rows of a package's table of layers, low to high."""
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition(f"| layer of `{package}` |")[2].partition("\n\n")[0]
    return [re.findall(r"`(\w+)", line.split("|")[1]) for line in table.splitlines()[2:]]


def _name(file: Path, source: Path) -> str:
    """Returns a file as the page names it: those of charloom without the name of the package."""
    folder = source if source.name == "charloom" else source.parent
    return file.relative_to(folder).as_posix()


def written() -> str:
    """Returns the list in ARCHITECTURE.md."""
    found = _BETWEEN.search(PAGE.read_text(encoding="utf-8"))
    return found[0] if found else ""


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_BETWEEN.sub(lambda _: file_map(), page), encoding="utf-8")
