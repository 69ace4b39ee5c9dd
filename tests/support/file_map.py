"""The list of all modules in ARCHITECTURE.md, from their first sentences; as a program, writes it there."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SOURCE = _ROOT / "src" / "charloom"
PAGE = _ROOT / "ARCHITECTURE.md"
_BETWEEN = re.compile(r"(?<=<!-- files -->\n).*(?=<!-- end of files -->)", re.DOTALL)


def _first_sentence(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]


def file_map() -> str:
    """Returns a list for each package, lowest first as in the table of layers, with a line for each module."""
    layers = PAGE.read_text(encoding="utf-8").partition("| layer | what it holds")[2].partition("\n\n")[0]
    rooms = [room for row in layers.splitlines()[2:] for room in re.findall(r"`(\w+)", row.split("|")[1])]
    lines = []
    for room in rooms:
        files = sorted((_SOURCE / room).rglob("*.py")) if (_SOURCE / room).is_dir() else [_SOURCE / f"{room}.py"]
        lines += [
            f"- `{file.relative_to(_SOURCE).as_posix()}`: {_first_sentence(file)}\n"
            for file in files
            if file.name != "__init__.py"
        ]
    return "\n" + "".join(lines) + "\n"


def written() -> str:
    """Returns the list in ARCHITECTURE.md."""
    found = _BETWEEN.search(PAGE.read_text(encoding="utf-8"))
    return found[0] if found else ""


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_BETWEEN.sub(lambda _: file_map(), page), encoding="utf-8")
