"""``charloom generate --check-novelty``: what of the written text is copied, said after it."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from charloom.cli import screen
from charloom.errors import SettingsError
from charloom.settings.limits import check_count

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel
    from charloom.novelty.report import CopiedStretch, NoveltyReport

_SHOWN_CHARS = 300
"""Of a stretch: a model that knows its text by heart copies pages."""


def check_options(corpus: Sequence[str], min_length: int | None, num_chars: int) -> None:
    """Raises SettingsError for what cannot be checked, before anything is written."""
    from charloom.novelty.report import LONGEST_TEXTS

    if min_length is not None:
        if not corpus:
            raise SettingsError("--min-copied-chars goes with --check-novelty")
        check_count("min_copied_chars", min_length, minimum=1)
    if corpus and num_chars > LONGEST_TEXTS:
        raise SettingsError(f"--check-novelty takes at most {LONGEST_TEXTS:,} characters in all samples together")


def show_novelty(
    model: "LanguageModel",
    texts: Sequence[str | bytes],
    corpus: Sequence[str],
    parts: list[tuple[str, str | bytes]],
    min_length: int | None,
) -> None:
    """Looks for the texts in the parts of the corpus, and prints what is found to standard error."""
    from charloom.novelty.report import DEFAULT_MIN_LENGTH, check_novelty

    clean_up, unit = model.vocabulary.clean_up, model.vocabulary.unit
    found = check_novelty(texts, parts, clean_up=clean_up, min_length=min_length or DEFAULT_MIN_LENGTH)
    _show(found, ", ".join(corpus), "bytes" if unit == "byte" else "characters")
    if note := _other_text(model, parts):
        screen.messages().print(note)


def _show(report: "NoveltyReport", corpus: str, unit: str) -> None:
    console = screen.messages()
    written = sum(sample.num_chars for sample in report.samples)
    if not written:
        console.print("Copied: nothing, for nothing was written.")
        return
    console.print(
        f"Copied: {100 * report.share:.1f} % of {written:,} {unit} written lie in stretches of {report.min_length} or "
        f"more that stand in {screen.printable(corpus)}; the longest has {report.longest}."
    )
    if report.num_pieces:
        console.print(
            f"Ordinary: of {report.num_pieces} pieces of that text itself, as long, {100 * report.ordinary.share:.1f} "
            f"% stand elsewhere in it, too; the longest has {report.ordinary.longest}."
        )
    else:
        console.print("Ordinary: cannot be told, that text is too short for pieces of this length to be cut out.")
    if not report.stretches:
        return
    several = len(report.samples) > 1
    headings = (*(("sample",) if several else ()), "from", "length", "stands in", "stretch")
    rows = []
    for stretch in report.stretches:
        sample = (str(stretch.sample + 1),) if several else ()
        place = f"{screen.printable(stretch.source)}, line {stretch.line:,} ({unit[:-1]} {stretch.corpus_start:,})"
        rows.append((*sample, f"{stretch.start:,}", f"{len(stretch.text):,}", place, _in_one_line(stretch)))
    screen.show_table(console, headings, rows, texts=range(len(headings) - 2, len(headings)))


def _in_one_line(stretch: "CopiedStretch") -> str:
    text: str | bytes = stretch.text[:_SHOWN_CHARS]
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    shown = screen.printable(shown.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t"))
    return f'"{shown}"' + (" ..." if len(stretch.text) > _SHOWN_CHARS else "")


def _other_text(model: "LanguageModel", parts: list[tuple[str, str | bytes]]) -> str:
    """What must be known where the model was trained on another text, or on a part of this one; else nothing."""
    trained = model.provenance.get("corpus")
    if not isinstance(trained, dict) or not isinstance(trained.get("num_chars"), int):
        return ""
    pieces: list[Any] = [part for _, part in parts]
    text = model.vocabulary.clean_up(pieces[0][:0].join(pieces))
    num_chars = trained["num_chars"]
    start = text[:num_chars]
    if hashlib.sha256(start if isinstance(start, bytes) else start.encode()).hexdigest() != trained.get("sha256"):
        name = screen.printable(str(trained.get("name", "")))
        return f"Note: this is not the text that the model was trained on ({name}, {num_chars:,} long)."
    if num_chars < len(text):
        return f"Note: the model was trained on the first {num_chars:,} of that text's {len(text):,}."
    return ""
