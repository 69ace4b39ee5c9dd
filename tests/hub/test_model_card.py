"""Model cards: their metadata parse back, and texts of the folder are shown as they are."""

import string
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from charloom import LanguageModel, ModelSettings, build_model, corpus_from
from charloom.hub.model_card import escape_markdown, make_model_card
from charloom.hub.upload import check_metadata
from charloom.settings.corpus import Unit

yaml = pytest.importorskip("yaml")
_FILES = ["config.json", "model.safetensors", "codec.safetensors", "history.png"]
_TEXTS = st.text(max_size=60) | st.text(st.sampled_from(string.punctuation + "\n\r\x1b\u202e w."), max_size=30)


_MODELS = {
    unit: build_model(corpus_from("a fox and a dog", unit=unit).vocabulary, ModelSettings("gru", hidden_size=4))
    for unit in get_args(Unit)
}


def _make_model(provenance: dict[str, Any], unit: Unit = "char") -> LanguageModel:
    _MODELS[unit].provenance = provenance
    return _MODELS[unit]


def _parse(card: str) -> tuple[Any, str]:
    """Returns the metadata and the Markdown."""
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


@given(_TEXTS)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    """Within a paragraph and a table: one run of text, whose only change are spaces."""
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    parser = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    (_, inline, *_) = parser.parse(f"on {escaped} end")
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    shown = "".join(child.content for child in inline.children or [])
    printable = "".join(char if char.isprintable() else " " for char in text)
    assert "".join(shown.split()) == "".join(f"on {printable} end".split())
    table = parser.parse(f"| a | b |\n|---|---|\n| {escaped} | x |")
    assert len([token for token in table if token.type == "td_open"]) == 2


def test_addresses_are_no_links() -> None:
    """The Hub makes links of addresses in plain text."""
    assert escape_markdown("https://a.b www.a.b me@a.b") == r"https\:\/\/a\.b www\.a\.b me\@a\.b"
    assert escape_markdown("2.5, 1,000") == "2.5, 1,000"
    assert escape_markdown("x" * 400) == "x" * 300 + "..."


@given(
    st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,20}", fullmatch=True),
    st.lists(st.sampled_from(["no", "en", "de", "zh-Hant"]), max_size=2, unique=True),
    _TEXTS,
)
def test_metadata(license_id: str, language: list[str], name: str) -> None:
    """They parse back to the same values, whatever the folder contains; a license such as 1.0 stays text."""
    check_metadata(license_id, language)
    provenance = {"corpus": {"name": name, "num_chars": 15}, "prefix": [name], "training": {name: name}, "results": 3}
    card = make_model_card(_make_model(provenance), "me/fox", license=license_id, language=language, files=_FILES)
    metadata, text = _parse(card)
    assert metadata == {
        "license": license_id,
        "library_name": "charloom",
        "pipeline_tag": "text-generation",
        "tags": ["charloom", "character-level", "gru"],
        **({"language": language} if language else {}),
    }
    headings = [
        token for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text) if token.type == "heading_open"
    ]
    assert [token.tag for token in headings] == ["h1", *["h2"] * (len(headings) - 1)]
    assert len(headings) == 7


def test_content() -> None:
    provenance = {
        "corpus": {"name": "fox.txt", "num_chars": 15, "sha256": "00"},
        "training": {"epochs": 3, "minutes": None},
        "results": {"perplexity": 2.5},
        "prefix": ["a fo"],
    }
    card = make_model_card(_make_model(provenance), "me/fox", license="mit", files=_FILES)
    for part in (
        "# fox\n",
        "A recurrent language model (GRU) that predicts characters, trained with charloom on fox\\.txt (15",
        "charloom generate hf:me/fox --num-chars 300\n",
        "charloom compress FILE -m hf:me/fox\n",
        "charloom.generate(model, 'a fo', 300,",
        "| perplexity | 2.5 |",
        "| epochs | 3 |",
        "![Perplexity by epoch](history.png)",
        "It has no priming",
    ):
        assert part in card, part
    assert "minutes" not in card


def test_little_is_known() -> None:
    card = make_model_card(_make_model({}, "byte"), "me/fox", license="other", files=["config.json"])
    assert "that predicts bytes, trained with charloom." in card
    assert "--prefix PREFIX" in card
    assert "model, b''" in card
    assert "It cannot compress files" in card
    assert "history.png" not in card
    with_priming = make_model_card(_make_model({}), "me/fox", license="mit", files=[*_FILES, "priming.safetensors"])
    assert "`priming.safetensors` contains the end of the training text" in with_priming
