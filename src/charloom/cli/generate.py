"""``charloom generate``."""

import codecs
import hashlib
import os
import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.options import Flag, Word
from charloom.errors import SettingsError
from charloom.settings import SamplingSettings
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.limits import check_count
from charloom.settings.sampling import DEFAULT_TEMPERATURE, GenerationPrecision

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel
    from charloom.novelty.report import CopiedStretch, NoveltyReport

_SHOWN_CHARS = 300
"""Maximum length of a passage that is shown: a model that memorized its text copies pages."""
_Repeated = Parameter(allow_leading_hyphen=True, negative="", show_default=False)


def generate(
    model: Path,
    /,
    *,
    prefix: Word[str | None] = None,
    num_chars: int = 200,
    sampling: Annotated[SamplingSettings, Parameter(name="*", group="Sampling")] = SamplingSettings(),
    greedy: Annotated[Flag, Parameter(group="Sampling")] = False,
    num_samples: int = 1,
    stop: Word[str | None] = None,
    unknown: UnknownPolicy = "refuse",
    device: str = "cpu",
    precision: GenerationPrecision = "float32",
    check_novelty: Annotated[tuple[str, ...], _Repeated] = (),
    min_copied_chars: int | None = None,
) -> None:
    """Let a model write on from a prefix.

    Characters are drawn at random, at a temperature of 0.7 unless a sampling option is given; --seed makes the text
    reproducible. --greedy takes the most likely character each time, which often repeats itself.

    Parameters
    ----------
    model
        A model's folder.
    prefix
        What to go on from, cleaned as the training text was. Default: the first prefix of the training run.
    num_chars
        Characters (bytes, for a byte model) to write after the prefix.
    greedy
        Take the most likely character each time, as --temperature 0 does.
    num_samples
        Texts to write, 10,000 at most. Several are computed side by side and shown when they are done.
    stop
        End before this text where the model writes it.
    unknown
        Characters of the prefix that the model does not know: refuse them by name, read them as `<unk>`, or skip them.
    device
        Where to compute (cpu, cuda, ...); auto takes a GPU when there is one.
    precision
        Of the weights while generating: float32, or int8, which is faster and a little less exact (CPU only).
    check_novelty
        Say afterwards, on standard error, what of the written text (without the prefix) is copied from this corpus, as
        'charloom train' takes it: a name, a file or a folder (repeated for several), cleaned as the training text was.
    min_copied_chars
        With --check-novelty: a stretch of so many characters (bytes, for a byte model) counts as copied. Default: 32.
    """
    from charloom.inference.generation import check_samples, generate_samples, stream
    from charloom.models.device import find_device
    from charloom.models.language_model import LanguageModel
    from charloom.text.corpora import read_corpus
    from charloom.text.decoding import for_a_model_of_characters

    check_samples(num_samples, num_chars)
    screen.output()  # refused at once if it is closed
    sampling = _with_defaults(sampling, greedy=greedy)
    _check_novelty_options(check_novelty, min_copied_chars, num_chars * num_samples)
    loaded = LanguageModel.load(model).to(find_device(device))
    if num_samples > 1 and sampling.greedy:
        raise SettingsError("greedy samples would all be the same: leave out --greedy, or give a --temperature above 0")
    unit = loaded.vocabulary.unit
    start = _default_prefix(loaded) if prefix is None else prefix
    texts = (start, stop) if unit == "char" else (os.fsencode(start), None if stop is None else os.fsencode(stop))
    with for_a_model_of_characters():
        corpus = read_corpus(check_novelty, unit) if check_novelty else []
    how: dict[str, Any] = {"stop": texts[1], "unknown": unknown, "precision": precision}
    if num_samples == 1:
        samples = [_write(stream(loaded, texts[0], num_chars, sampling, **how), keep=bool(corpus))]
    else:
        samples = generate_samples(loaded, texts[0], num_chars, sampling, num_samples=num_samples, **how)
        for number, text in enumerate(samples, 1):
            sys.stdout.write(f"--- sample {number} of {num_samples} ---\n{_shown(text)}\n")
    if corpus:
        sys.stdout.flush()
        after = len(loaded.vocabulary.decode(loaded.vocabulary.encode(start, unknown)))
        _show_novelty(loaded, [sample[after:] for sample in samples], check_novelty, corpus, min_copied_chars)


def _with_defaults(sampling: SamplingSettings, *, greedy: bool) -> SamplingSettings:
    """The settings to sample with; on a terminal the seed that makes the same text again is shown."""
    asked = (sampling.temperature, sampling.power, sampling.top_k, sampling.top_p)
    if greedy:
        if any(value is not None for value in asked):
            raise SettingsError("--greedy and other sampling options contradict each other: give one")
        return sampling
    if all(value is None for value in asked):
        sampling = replace(sampling, temperature=DEFAULT_TEMPERATURE)
    if sampling.seed is None and not sampling.greedy:
        sampling = replace(sampling, seed=secrets.randbelow(10**6))
        if sys.stderr.isatty():
            screen.messages().print(f"charloom: note: --seed {sampling.seed} writes this text again")
    return sampling


def _write(chunks: Iterable[str | bytes], *, keep: bool) -> str | bytes:
    """Shows a text as it comes. Returns it if it is to be kept."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    kept: list[Any] = []
    for chunk in chunks:
        if keep or not kept:
            kept.append(chunk)
        # A byte model writes its bytes as they are, except to a terminal.
        if isinstance(chunk, bytes) and not sys.stdout.isatty():
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            continue
        sys.stdout.write(_shown(decoder.decode(chunk) if isinstance(chunk, bytes) else chunk))
        sys.stdout.flush()
    if isinstance(kept[0], str) or sys.stdout.isatty():
        sys.stdout.write(_shown(decoder.decode(b"", final=True)) + "\n")
    text: str | bytes = kept[0][:0].join(kept)
    return text


def _shown(text: str | bytes) -> str:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return screen.printable(text) if sys.stdout.isatty() else text


def _default_prefix(model: "LanguageModel") -> str:
    prefixes = model.provenance.get("prefix") or []
    if not isinstance(prefixes, list) or not prefixes or not isinstance(prefixes[0], str):
        raise SettingsError("this model's folder names no prefix to go on from: give one with --prefix")
    return prefixes[0]


def _check_novelty_options(corpus: Sequence[str], min_length: int | None, num_chars: int) -> None:
    """Raises SettingsError for what cannot be checked, before anything is written."""
    from charloom.novelty.report import MAX_TEXTS

    if min_length is not None:
        if not corpus:
            raise SettingsError("--min-copied-chars goes with --check-novelty")
        check_count("min_copied_chars", min_length, minimum=1)
    if corpus and num_chars > MAX_TEXTS:
        raise SettingsError(f"--check-novelty takes at most {MAX_TEXTS:,} characters in all samples together")


def _show_novelty(
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
    _show_copied(found, ", ".join(corpus), "bytes" if unit == "byte" else "characters")
    if note := _other_text(model, parts):
        screen.messages().print(note)


def _show_copied(report: "NoveltyReport", corpus: str, unit: str) -> None:
    console = screen.messages()
    written = sum(sample.num_chars for sample in report.samples)
    if not written:
        console.print("Copied: nothing, for nothing was written.")
        return
    console.print(
        f"Copied: {100 * report.share:.1f} % of {written:,} {unit} written lie in stretches of {report.min_length} or "
        f"more that stand in {screen.printable(corpus)}; the longest has {report.longest}."
    )
    if report.num_chunks:
        console.print(
            f"Ordinary: of {report.num_chunks} chunks of that text itself, as long, {100 * report.ordinary.share:.1f} "
            f"% stand elsewhere in it, too; the longest has {report.ordinary.longest}."
        )
    else:
        console.print("Ordinary: cannot be told, that text is too short for chunks of this length to be cut out.")
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
    """Returns a note if the model was trained on another text, or on a part of this one; an empty text otherwise."""
    trained = model.provenance.get("corpus")
    if not isinstance(trained, dict) or not isinstance(trained.get("num_chars"), int):
        return ""
    chunks: list[Any] = [part for _, part in parts]
    text = model.vocabulary.clean_up(chunks[0][:0].join(chunks))
    num_chars = trained["num_chars"]
    start = text[:num_chars]
    if hashlib.sha256(start if isinstance(start, bytes) else start.encode()).hexdigest() != trained.get("sha256"):
        name = screen.printable(str(trained.get("name", "")))
        return f"Note: this is not the text that the model was trained on ({name}, {num_chars:,} long)."
    if num_chars < len(text):
        return f"Note: the model was trained on the first {num_chars:,} of that text's {len(text):,}."
    return ""
