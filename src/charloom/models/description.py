"""The description of a language model: its parts and sizes, and its training as far as it is known."""

from typing import TYPE_CHECKING

from charloom.io import markup

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel

_SETTING = "training "
"""Start of the names of the training's settings."""


def describe_model(model: "LanguageModel") -> list[tuple[str, str]]:
    """Returns names and values of a language model's properties, and of its training as far as it is known."""
    layer, vocabulary = model.layer, model.vocabulary
    parameters = sum(parameter.numel() for parameter in model.parameters())
    normalization = [name.replace("_", " ") for name, on in vars(vocabulary.clean_up).items() if on]
    rows = [
        ("cell", layer.mode.lower().replace("_", " ")),
        ("layers", f"{layer.num_layers} x {layer.hidden_size} units"),
        ("input", f"embedding of size {model.embedding.embedding_dim}" if model.embedding else "one-hot"),
        ("vocabulary", f"{len(vocabulary)} tokens, unit {vocabulary.unit}"),
        ("normalization", ", ".join(normalization) or "none"),
        ("parameters", f"{parameters:,} ({sum(p.nbytes for p in model.parameters()):,} bytes)"),
    ]
    # The folder may come from another program or a later version: only what is present and a table is shown.
    provenance = model.provenance
    for title, table in (("text", "corpus"), ("result", "results"), ("training", "training")):
        values = provenance.get(table)
        if isinstance(values, dict):
            rows += [(f"{title} {name.replace('_', ' ')}", _describe_value(value)) for name, value in values.items()]
    if "charloom" in provenance:
        rows.append(("saved by", f"charloom {provenance['charloom']}"))
    return rows


def make_model_markup(model: "LanguageModel") -> str:
    """Returns the description as HTML, with the settings of the training after a click."""
    rows = describe_model(model)
    settings = [row for row in rows if row[0].startswith(_SETTING)]
    parts = [markup.make_properties([row for row in rows if not row[0].startswith(_SETTING)])]
    if settings:
        parts.append(markup.make_details("settings of the training", markup.make_properties(settings)))
    return markup.join(*parts)


def _describe_value(value: object) -> str:
    # JSON has one type of number, so an int may come back as a float: 3.0 is shown as 3.
    if isinstance(value, float) and value == value // 1:
        return f"{value:.0f}"
    if isinstance(value, list):
        return ", ".join(map(_describe_value, value)) or "none"
    if isinstance(value, bool):  # as in recipes
        return "true" if value else "false"
    return "not set" if value is None else f"{value:.6g}" if isinstance(value, float) else f"{value}"
