"""The style sheet of CONTRIBUTING.md, as far as a program can check it."""

from pathlib import Path

import pytest

import prose

_FILES = prose.files()
_MAX_WHERES = 20


@pytest.mark.parametrize("file", _FILES, ids=lambda file: str(file.relative_to(prose.ROOT)))
def test_no_banned_words(file: Path) -> None:
    assert not list(prose.banned_words(prose.text_of(file)))


@pytest.mark.parametrize(
    "file",
    [file for source in prose.SOURCES for file in sorted(source.rglob("*.py"))],
    ids=lambda file: str(file.relative_to(prose.ROOT)),
)
def test_docstrings_have_the_form_of_the_style_sheet(file: Path) -> None:
    commands = file.parent.name == "cli" and file.stem in prose.COMMANDS
    assert not list(prose.docstrings(file.read_text(encoding="utf-8"), commands=commands))


@pytest.mark.parametrize("folder", ["src", "kernels", "codec"])
def test_where_is_for_places(folder: str) -> None:
    inside = [file for file in _FILES if file.is_relative_to(prose.ROOT / folder)]
    assert len([finding for file in inside for finding in prose.wheres(prose.text_of(file))]) <= _MAX_WHERES


@pytest.mark.parametrize(
    "line",
    [
        "# It goes on from there.",
        "def begin_hearing(told: int) -> None:",
        "The text is read anew, whoever asks.",
        "_LARGEST_GROUP = 4",
        "a neighbour of the usual pieces",
        "it must be a whole number",
    ],
)
def test_banned_words_are_found(line: str) -> None:
    assert list(prose.banned_words(line))


@pytest.mark.parametrize(
    "line", ["state = layer.begin_state(2)", "std::sort(x.begin(), x.end())", "a restart", "essay"]
)
def test_terms_of_the_field_are_allowed(line: str) -> None:
    assert not list(prose.banned_words(line))


@pytest.mark.parametrize(
    ("body", "is_right"),
    [
        ('"""Returns the sum."""', True),
        ('"""The sum."""', False),
        ('"""What is summed."""', False),
        ('"""Returns the sum.\n\n    Args:\n        first: How.\n    """', False),
        ('"""Returns the sum.\n\n    Args:\n        first: First summand.\n    """', True),
    ],
)
def test_forms_of_docstrings_are_distinguished(body: str, is_right: bool) -> None:
    source = f"def add(first):\n    {body}\n"
    assert is_right == (not list(prose.docstrings(source)))


def test_properties_and_commands_have_other_forms() -> None:
    assert not list(prose.docstrings('class A:\n    @property\n    def size(self):\n        """Size in bytes."""\n'))
    assert not list(prose.docstrings('def train():\n    """Train a model."""\n', commands=True))
    assert list(prose.docstrings('def train():\n    """Train a model."""\n'))


@pytest.mark.parametrize(
    ("line", "number"), [("None where it is not given", 1), ("np.where(x, y, z)", 0), ("if it is", 0)]
)
def test_wheres_are_found(line: str, number: int) -> None:
    assert len(list(prose.wheres(line))) == number
