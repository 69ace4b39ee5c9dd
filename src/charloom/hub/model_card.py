"""The model card, ``README.md``: what a model's folder knows of the model, for people who find it on the Hub."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from charloom.errors import pluralize
from charloom.models.description import describe_model

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel

_MAX_SHOWN = 300
"""Maximum number of characters of a value, which may come from a folder of another program."""
# All ASCII punctuation, except commas, and points within a number.
_PUNCTUATION = re.compile(r"((?![,.])[!-/:-@\[-`{-~]|(?<!\d)\.|\.(?!\d))")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that are not shown, or not as text."""
_SECTIONS = (("text", "Training text"), ("result", "Results"), ("training", "Settings of the training"))
"""First words of the properties of each section; the others are of the model."""


def escape_markdown(text: str) -> str:
    """Returns Markdown that shows a text as it is, in one line: no link, no HTML, no formatting."""
    # Control characters, line ends and invisible ones, such as those that reverse text, become spaces.
    plain = "".join(" " if unicodedata.category(char) in _HIDDEN else char for char in text[:_MAX_SHOWN])
    # CommonMark allows a backslash before each ASCII punctuation character. One after a letter also ends addresses that
    # the Hub would make links.
    return _PUNCTUATION.sub(r"\\\1", " ".join(plain.split())) + ("..." if len(text) > _MAX_SHOWN else "")


def make_model_card(
    model: "LanguageModel",
    repository: str,
    *,
    license: str,  # noqa: A002 - the name of the field
    language: Sequence[str] = (),
    files: Iterable[str] = (),
) -> str:
    """Returns the model card of a language model, with its metadata in YAML.

    The arguments must be valid, as ``check_metadata`` determines: the metadata contains no other text.

    Args:
        model: The model.
        repository: Name of the repository.
        license: Identifier of the license.
        language: Codes of the languages.
        files: Names of the files of the repository, which determine what the model can be used for.
    """
    rows, files = [row for row in describe_model(model) if row[1] != "not set"], set(files)
    sections = {
        start: [(n.removeprefix(f"{start} "), v) for n, v in rows if n.startswith(f"{start} ")]
        for start, _ in _SECTIONS
    }
    own = [row for row in rows if row[0].split(" ")[0] not in sections]
    cell = model.layer.mode.split("_")[0].lower()
    parts = [
        _make_metadata(license, language, ["charloom", "character-level", cell]),
        f"# {escape_markdown(repository.partition('/')[2])}",
        _introduce(model, cell),
        _show_use(model, repository, files),
        "## Model\n\n" + _make_table(own),
    ]
    parts += [f"## {title}\n\n{_make_table(sections[start])}" for start, title in _SECTIONS if sections[start]]
    if "history.png" in files:
        parts.append("## Course of the training\n\n![Perplexity by epoch](history.png)")
    parts.append(_describe_limits(model, files))
    return "\n\n".join(parts) + "\n"


def _make_metadata(license_id: str, language: Sequence[str], tags: Sequence[str]) -> str:
    fields: Mapping[str, str | Sequence[str]] = {
        "license": license_id,
        "library_name": "charloom",
        "pipeline_tag": "text-generation",
        "tags": tags,
        "language": language,
    }
    # Quoted, because YAML reads the code of Norwegian, no, as false.
    lines = [
        f"{name}:\n" + "\n".join(f'- "{item}"' for item in value)
        if not isinstance(value, str)
        else f'{name}: "{value}"'
        for name, value in fields.items()
        if value
    ]
    return "---\n" + "\n".join(lines) + "\n---"


def _introduce(model: "LanguageModel", cell: str) -> str:
    token = "bytes" if model.vocabulary.unit == "byte" else "characters"
    text = f"A recurrent language model ({cell.upper()}) that predicts {token}, trained with charloom"
    corpus = model.provenance.get("corpus")
    corpus = corpus if isinstance(corpus, dict) else {}
    if isinstance(name := corpus.get("name"), str) and name:
        text += f" on {escape_markdown(name)}"
    if isinstance(length := corpus.get("num_chars"), int):
        text += f" ({pluralize(length, token.removesuffix('s'))})"
    return f"{text}."


def _show_use(model: "LanguageModel", repository: str, files: set[str]) -> str:
    name, prefix = f"hf:{repository}", _find_prefix(model)
    option = "" if prefix else " --prefix PREFIX"  # required if the folder has none
    lines = [
        "pip install 'charloom[hub]'",
        f"charloom generate {name} --num-chars 300{option}",
        f"charloom evaluate {name} FILE",
    ]
    if "codec.safetensors" in files:
        lines += [f"charloom compress FILE -m {name}", f"charloom decompress FILE.loom -m {name}"]
    commands = "\n".join(lines)
    # In Python's notation, the prefix is in one line, and cannot end the block.
    python = f'import charloom\n\nmodel = charloom.LanguageModel.load("{name}")\n' + (
        f"print(charloom.generate(model, {prefix!a}, 300, charloom.SamplingSettings(temperature=0.7)))"
    )
    return f"## Use\n\n```sh\n{commands}\n```\n\n```python\n{python}\n```"


def _find_prefix(model: "LanguageModel") -> str | bytes:
    """Returns the first prefix of the training, with which ``charloom generate`` starts; empty if there is none."""
    prefixes = model.provenance.get("prefix")
    found = prefixes[0] if isinstance(prefixes, list) and prefixes and isinstance(prefixes[0], str) else ""
    return found.encode("utf-8", "surrogateescape") if model.vocabulary.unit == "byte" else found


def _describe_limits(model: "LanguageModel", files: set[str]) -> str:
    if model.vocabulary.unit == "byte":
        known = "It reads any bytes, and predicts well only data that resembles its training data."
    else:
        known = (
            f"It knows {pluralize(len(model.vocabulary), 'token')}: other characters are refused, or read as unknown. "
            "Text that differs from its training text in language or kind is predicted badly."
        )
    limits = [
        "It continues text in the style of its training text. It follows no instructions, answers no questions and "
        "knows no facts; what it generates is often wrong.",
        known,
        "It may repeat passages of its training text, which `--check-novelty` finds if that text is available.",
    ]
    if "codec.safetensors" not in files:
        limits.append("It cannot compress files: it has no integer model.")
    elif "priming.safetensors" in files:
        limits.append("`priming.safetensors` contains the end of the training text, at most 1 MiB, for compression.")
    else:
        limits.append(
            "It has no priming: compressed files are a few percent larger than with the training text at hand."
        )
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits)


def _make_table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {escape_markdown(name)} | {escape_markdown(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])
