"""The files of pages (``page/``), put together to documents that load nothing else."""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "page"
MODULES = {
    "page.html": (
        *("products.js", "network.js", "random.js", "weights.js", "model.js"),
        *("display.js", "shading.js", "sampling.js", "app.js"),
    ),
    "compare.html": ("display.js", "shading.js", "sampling.js", "compare.js"),
    "run.html": ("run.js",),
    "index.html": (),
    "error.html": (),
}
"""Modules of each page; each imports from those before it only."""
_MAX_CHARS = 1_000_000
"""Maximum number of characters that a page generates by itself."""
_DEFAULT_CHARS = 500
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|class|async function|function)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def fill_page(name: str, parts: Mapping[str, str], *, max_chars: int = _MAX_CHARS) -> str:
    """Returns a page with its modules and its style.

    Args:
        name: Name of the page in ``MODULES``.
        parts: HTML for the placeholders of the page, except ``head``, ``script``, ``script_hash`` and ``sampling``.
        max_chars: Maximum of the number of characters to generate.
    """
    script = bundle_modules(name)
    # The page may run this script only: not one in a text that it shows.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filled = {
        "head": _fill("head.html", {"style": read_file("style.css")}),
        "sampling": _fill(
            "sampling.html", {"max_chars": str(max_chars), "num_chars": str(min(_DEFAULT_CHARS, max_chars))}
        ),
        "script": script,
        "script_hash": f"'sha256-{digest}'",
        **parts,
    }
    return _fill(name, filled)


def _fill(name: str, parts: Mapping[str, str]) -> str:
    # In one pass: an inserted text may look like a placeholder.
    return _PLACEHOLDER.sub(lambda found: parts[found[1]], read_file(name))


def bundle_modules(name: str) -> str:
    """Returns all modules of a page as one, without imports and exports."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", read_file(module))) for module in MODULES[name])


def read_file(name: str) -> str:
    """Returns the text of a file of the pages."""
    return (FOLDER / name).read_text(encoding="utf-8")
