"""The HTML of evaluations: their figures, text that is shaded by surprisal, and a table of lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from charloom.errors import pluralize
from charloom.io import markup

if TYPE_CHECKING:
    from charloom.inference.surprisal import Evaluation, Surprisal


def make_figures(evaluation: "Evaluation") -> markup.Markup:
    """Returns a table of the figures of a text."""
    rows: list[tuple[str, object]] = [
        ("characters", evaluation.num_chars),
        ("perplexity", evaluation.perplexity),
        ("nats per character", evaluation.nats_per_char),
        ("bits per character", evaluation.bits_per_char),
        ("bits per byte", evaluation.bits_per_byte),
    ]
    if evaluation.num_unknown:
        rows.append(("read as <unk>", evaluation.num_unknown))
    return markup.make_properties(rows)


def make_text(surprisals: Sequence["Surprisal"]) -> markup.Markup:
    """Returns consecutive chunks as shaded text, and others, such as the most surprising lines, as a table."""
    if not surprisals:
        return markup.make_note("no text")
    numbers = [one.number for one in surprisals]
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return markup.make_shaded_text([(one.text, one.bits_per_char, _describe(one)) for one in surprisals])
    # Rarity is measured for all lines or for none.
    is_rarity_known = any(one.rarity is not None for one in surprisals)
    headings = ["number", *(["rarity"] if is_rarity_known else []), "bits", "per character", "per word", "text"]
    rows: list[list[object]] = [
        [
            one.number,
            *([one.rarity] if is_rarity_known else []),
            one.bits,
            one.bits_per_char,
            one.bits_per_word,
            markup.make_shaded(markup.shorten(one.text.removesuffix("\n")), one.bits_per_char, _describe(one)),
        ]
        for one in surprisals[: markup.MAX_ROWS]
    ]
    return markup.make_table(headings, rows, total=len(surprisals))


def _describe(one: "Surprisal") -> str:
    """Returns the figures of a chunk in one line."""
    if not one.num_chars:
        return "not scored"
    mean = "" if one.num_chars == 1 else f", {one.bits_per_char:.2f} per character"
    unknown = f", {pluralize(one.num_unknown, 'unknown character')}" if one.num_unknown else ""
    rarity = "" if one.rarity is None else f", rarity {one.rarity:.1f}"
    return f"{one.number:,}: {one.bits:.2f} bits{mean}{unknown}{rarity}"
