"""Findings against the style sheet of CONTRIBUTING.md in names, comments, docstrings, messages and pages.

Run as a program, it prints the findings of the paths that it is given, or of the whole repository.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "codec" / "src" / "charloom_codec", ROOT / "src" / "charloom")
COMMANDS = {
    *("cache", "completion", "compress", "decompress", "doctor", "evaluate", "export", "forecast", "generate"),
    *("info", "push", "recipes", "serve", "sweep", "train", "watch"),
}

# Word forms that the glossary replaces, matched within names too (``num_pieces``); the second item is the term to use.
_BANNED = {
    r"anew": "again, from scratch",
    r"go(?:es)?[ _]on|going[ _]on|gone[ _]on|went[ _]on": "continue, resume",
    r"(?:the|no|a)[ _]way[ _]out": "what to do",
    r"to[ _]be[ _]had": "available",
    r"who(?:so)?ever|thereof|wherein|whence|lest|shall": "plain words",
    r"tells?|told|telling": "report, emit, show, state",
    r"says?|said|saying": "report, state, name",
    r"talks?|talking|hears?|heard|wish|wishes|bur(?:y|ies)": "the field's verb",
    r"(?:kept|keep|keeps)[ _]out|unseen": "held out, validation",
    r"begins?|began|begun|beginnings?": "start",
    r"whole[ _]numbers?": "int, integer",
    r"usual(?:ly)?": "default; by default",
    r"heirs?": "equivalent",
    r"mends?|mended|mending": "fix, repair",
    r"learnt|(?:behavi|col|neighb|fav|hon|lab)our\w*|grey|whilst": "American spelling",
    r"(?:initial|memor|normal|renormal|optim|recogn|summar|organ|central|util|token)is(?:e|es|ed|ing|ation)": "-ize",
    r"pieces?": "chunk",
    r"writes?[ _]on|(?:let|lets|letting)[ _](?:it|a[ _]model|the[ _]model)[ _]write": "generate",
    r"so[ _](?:many|much)": "that many; a number",
}
_BANNED_PATTERNS = {
    re.compile(rf"(?<![^\W_])(?:{form})(?![^\W_])", re.IGNORECASE): term for form, term in _BANNED.items()
}
_ANY_BANNED = re.compile(rf"(?<![^\W_])(?:{'|'.join(_BANNED)})(?![^\W_])", re.IGNORECASE)
"""Any of the patterns, in one pass."""
# Superlatives in names of limits: PyTorch writes ``max_`` and ``min_``.
_SUPERLATIVE = re.compile(r"\b_?(?:LARGEST|LONGEST|FARTHEST|MOST|FEWEST|SMALLEST|LEAST|SHORTEST|NARROWEST)_\w+")
# What the words above may be part of.
_ALLOWED = re.compile(
    r"""begin_state | \.c?begin\b | \bstd::begin | \bbegin\b(?=\s*[,)(+;<-])  # PyTorch's word of the book; C++ ranges
    | \bpiece\ of\ cheese | he\ said\ nothing | b=19\ say: | \bsaid\ nothing\ at\ all | \.tell\(\)
    | -----BEGIN | BEGIN\b  # formats of others
    """,
    re.VERBOSE,
)
_OPENINGS = re.compile(r"(?:What|How|Whether|Where|Which|Who|When|Those|That|As|If|So|It|Else|Once)\b")
_VERB = re.compile(r"[A-Z][a-z]+s\b")
_NOUNS = re.compile(
    r"(?:This|Its|Bits|Bytes|Files|Ids|Names|Lines|Errors|Texts|Values|Messages|Sizes|Numbers|Always)\b"
)
_WHERE = re.compile(r"(?<![\w.])where(?![\w(])", re.IGNORECASE)
_CODE = re.compile(r"np\.where|torch\.where|\"Where\"")  # the last is an operator of ONNX


class Finding(NamedTuple):
    """A line against the style sheet.

    Attributes:
        line: Number of the line, from 1.
        rule: Name of the rule, with the term to use.
        text: The words found.
    """

    line: int
    rule: str
    text: str


def files() -> list[Path]:
    """Returns the files of the repository whose language the rules apply to."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    kept = [
        name
        for name in listed
        if name and not name.startswith(("tests/support/prose.py", "tests/test_prose.py", "CONTRIBUTING.md", "LICENSE"))
    ]
    kinds = (".py", ".pyi", ".md", ".toml", ".h", ".cpp", ".ipynb", ".txt", ".css")
    return [ROOT / name for name in kept if name.endswith(kinds) or name.startswith("scripts/")]


def text_of(file: Path) -> str:
    """Returns the text of a file that the rules apply to: of a notebook its sources."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.suffix == ".ipynb":
        return "\n".join(line for cell in json.loads(text)["cells"] for line in "".join(cell["source"]).split("\n"))
    # A block marked as text shows what a program printed: its lines stay, empty, so that numbers of lines are right.
    return re.sub(r"^```text\n.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)


def banned_words(text: str) -> Iterator[Finding]:
    """Yields the banned words of a text, names of a program included."""
    for number, line in enumerate(text.split("\n"), 1):
        plain = _ALLOWED.sub("", line)
        for pattern, term in _BANNED_PATTERNS.items() if _ANY_BANNED.search(plain) else ():
            yield from (Finding(number, f"use: {term}", word[0]) for word in pattern.finditer(plain))
        yield from (Finding(number, "use: max_, min_", word[0]) for word in _SUPERLATIVE.finditer(plain))


def wheres(text: str) -> Iterator[Finding]:
    """Yields each "where" in comments, docstrings and messages: nearly all should be "if"."""
    for number, line in enumerate(text.split("\n"), 1):
        if _WHERE.search(_CODE.sub("", line)) and not re.search(r"\bwhere\b *[=:,)]", line):
            yield Finding(number, "where: use if, when", line.strip())


def docstrings(text: str, commands: bool = False) -> Iterator[Finding]:
    """Yields the docstrings of a module whose form is not the style sheet's.

    Args:
        text: Source of the module.
        commands: True for a module of the command line: a public function's docstring is help, in the imperative.
    """
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node) or ""
        line = getattr(node, "lineno", 1)
        first = docstring.partition("\n\n")[0].replace("\n", " ")
        if _OPENINGS.match(first):
            yield Finding(line, "opens with a question word or a conjunction", first)
        has_verb = _VERB.match(first) and not _NOUNS.match(first)
        if isinstance(node, ast.FunctionDef) and first and not has_verb and not _may_be_noun(node, commands):
            yield Finding(line, "a function's docstring starts with a verb: Returns, Computes", first)
        yield from (Finding(line, "an argument's description is a fragment", entry) for entry in _fragments(docstring))


def _may_be_noun(node: ast.FunctionDef, commands: bool) -> bool:
    names = {ast.unparse(one).split(".")[-1] for one in node.decorator_list}
    return bool(names & {"property", "cached_property", "setter"}) or (commands and not node.name.startswith("_"))


def _fragments(docstring: str) -> Iterator[str]:
    """Yields entries of Args and Attributes that do not name what the argument is."""
    for section in re.findall(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE):
        for name, text in re.findall(r"^ {4}(\w+): (.*)$", section, re.MULTILINE):
            if len(text.split()) < 2 or re.match(r"(?:What|How|Where|Which|Who|Those|As|Of|In|To|On)\b", text):
                yield f"{name}: {text}"


def findings(file: Path) -> Iterator[Finding]:
    """Yields the findings of a file by all rules that apply to it."""
    text = text_of(file)
    yield from banned_words(text)
    yield from wheres(text)
    if file.suffix == ".py" and any(map(file.is_relative_to, SOURCES)):
        yield from docstrings(text, commands=file.stem in COMMANDS and file.parent.name == "cli")


if __name__ == "__main__":
    wanted = [Path(name).resolve() for name in sys.argv[1:]]
    for chosen in files():
        if not wanted or any(chosen == one or one in chosen.parents for one in wanted):
            for found in findings(chosen):
                sys.stdout.write(f"{chosen.relative_to(ROOT)}:{found.line}: {found.rule}: {found.text}\n")
