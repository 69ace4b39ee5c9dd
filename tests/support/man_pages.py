"""The man pages of both programs, from the same source as ``--help``.

Run as a program, it writes them.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import cyclopts

from charloom.cli.app import app as charloom_app
from charloom_codec.cli.app import app as codec_app

_ROOT = Path(__file__).parents[2]
PAGES = {_ROOT / "man" / "charloom.1": charloom_app, _ROOT / "codec" / "man" / "charloom-codec.1": codec_app}
"""The program of each page."""
_CONTENTS = re.compile(r"## Table of Contents\n\n(?:- .*\n)+\n")
_ITEM = re.compile(r"\* \[?`([^`]+)`(?:\]\(\S+\))?(?:: (.*))?")
_ESCAPES = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}


def man_page(app: cyclopts.App) -> str:
    """Returns the man page of a program in roff."""
    name = app.name[0]
    with mock.patch.object(sys, "argv", [name]):  # cyclopts names the running program
        text = _CONTENTS.sub("", app.generate_docs("markdown"))
    overview, *commands = re.split(r"^## ", text, flags=re.MULTILINE)
    _, synopsis, description = re.split(r"```(?:console\n)?", overview)
    summary = description.strip().partition("\n\n")[0].rstrip(".")
    lines = [
        '.\\" Written by scripts/man from the source of --help.',
        f'.TH {name.upper()} 1 "" "{name} {app.version}" "User Commands"',
        ".SH NAME",
        f"{name} \\- {_escape(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {_escape(synopsis.strip())}",
        ".SH DESCRIPTION",
        *_blocks(description),
        ".SH COMMANDS",
    ]
    for section in commands:
        heading, _, body = section.partition("\n")
        # cyclopts repeats the command's name in a usage that was set.
        _, usage, rest = re.split(r"```(?:console\n)?", body)
        usage = (app[heading.removeprefix(f"{name} ")].usage or usage).removeprefix("Usage: ")
        lines += [f".SS {_escape(heading)}", f".B {_escape(usage.strip())}", ".PP", *_blocks(rest)]
    return "\n".join(lines) + "\n"


def _blocks(text: str) -> Iterator[str]:
    """Yields the lines of a markdown text as cyclopts writes it: paragraphs, examples, headings, and items."""
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.splitlines()
        if block.startswith("    "):
            yield from (".PP", ".RS 4", ".nf", *(_escape(line[4:]) for line in lines), ".fi", ".RE")
        elif block.startswith("* "):
            for item in re.split(r"\n(?=\* )", block):
                names, first = _ITEM.match(item).groups()  # type: ignore[union-attr] # every item has a name
                rest = " ".join(line.strip() for line in [first or "", *item.splitlines()[1:]])
                yield from (".TP", _names(names), _inline(rest))
        else:
            yield ".PP"
            yield from map(_inline, lines)


def _names(names: str) -> str:
    """Formats the names of an option in bold, and the kind of its value in italics."""
    words = names.split(" ")
    fonts = ("I" if word.isupper() and word[0] != "-" else "B" for word in words)
    return " ".join(rf"\f{font}{_escape(word)}\fR" for font, word in zip(fonts, words, strict=True))


def _inline(line: str) -> str:
    """Returns a line of text with its bold parts and code in bold, and defaults without their italics."""
    line = _escape(re.sub(r"\*(\[[^]]*\])\*(?!\*)", r"\1", line))
    line = re.sub(r"\*\*(.+?)\*\*", r"\\fB\1\\fR", line)
    return re.sub(r"\\\(ga(.+?)\\\(ga", r"\\fB\1\\fR", line)


def _escape(text: str) -> str:
    """Returns a text that roff reproduces: its hyphens can be copied, and no line is taken for a request."""
    escaped = "".join(_ESCAPES.get(char, char) for char in text)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    for path, program in PAGES.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(man_page(program), encoding="utf-8")
