"""Pages put together: one document, whose only script is its own."""

import base64
import hashlib
import itertools
import re

import pytest

from charloom.export.page_files import FOLDER, MODULES, bundle_modules, fill_page, read_file


@pytest.mark.parametrize("name", MODULES)
def test_pages_are_self_contained(name: str) -> None:
    placeholders = set(re.findall(r"\{\{(\w+)\}\}", read_file(name))) - {"head", "script", "script_hash", "sampling"}
    parts = {placeholder: f"<b>{{{{head}}}} {placeholder}</b>" for placeholder in placeholders}
    page = fill_page(name, parts)
    assert all(part in page for part in parts.values())  # a placeholder in a part is text
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=[\"']?(?!data:,|<b>)\w", page)
    assert not [word for word in ("http:", "https:", "import(", "eval(", "@import") if word in page]
    script = page.rpartition('<script type="module">')[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert MODULES[name] == () or f"script-src 'sha256-{digest}'" in page
    assert not [line for line in script.splitlines() if line.startswith(("import ", "export "))]


def test_every_module_is_of_a_page_and_follows_its_imports() -> None:
    assert {path.name for path in FOLDER.glob("*.js")} == {*itertools.chain(*MODULES.values())}
    assert {path.name for path in FOLDER.glob("*.html")} == {*MODULES, "head.html", "sampling.html"}
    for modules in MODULES.values():
        for place, module in enumerate(modules):
            imported = re.findall(r'from "\./([a-z]+\.js)"', read_file(module))
            assert {*imported} <= {*modules[:place]}
            assert len(read_file(module).splitlines()) <= 300


@pytest.mark.parametrize("name", MODULES)
def test_the_names_of_bundled_modules_differ(name: str) -> None:
    """In one document, two modules cannot declare the same name."""
    declared = re.findall(r"^(?:async )?(?:const|let|class|function\*?) (\w+)", bundle_modules(name), re.MULTILINE)
    assert len(declared) == len(set(declared))
