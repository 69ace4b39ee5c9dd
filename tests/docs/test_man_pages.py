"""The man pages: up to date, complete, and without warnings of groff."""

import re
import shutil
import subprocess
from pathlib import Path

import cyclopts
import pytest

from man_pages import PAGES, man_page

_NAMES = {path: path.stem for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=_NAMES.get)
def test_the_page_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == man_page(PAGES[path]), "scripts/man writes the pages"


@pytest.mark.parametrize("path", PAGES, ids=_NAMES.get)
def test_the_page_has_every_command_and_option(path: Path) -> None:
    page = path.read_text(encoding="utf-8").replace(r"\-", "-")
    app: cyclopts.App = PAGES[path]
    for command in (name for name in app if name not in app.help_flags + app.version_flags):
        section = page.partition(f"\n.SS {path.stem} {command}\n")[2].partition("\n.SS ")[0]
        assert section, command
        for argument in app[command].assemble_argument_collection():
            for name in argument.names if argument.show else ():
                assert re.search(rf"^.*\\f[BI]{re.escape(name)}\b", section, re.MULTILINE), (command, name)


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("path", PAGES, ids=_NAMES.get)
def test_groff_formats_the_page_without_warnings(path: Path) -> None:
    command = ["groff", "-ww", "-man", "-Tutf8", "-P-c", str(path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stderr == ""
    plain = re.sub(r".\x08|\x1b\[\d*m", "", done.stdout)
    assert f"{path.stem} COMMAND" in plain
    assert "\\f" not in plain
    if path.stem == "charloom":
        assert 'charloom generate model --prefix "time traveller"' in plain
