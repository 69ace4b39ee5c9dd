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

from charloom.errors import SettingsError, pluralize
from charloom.settings import SamplingSettings
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.limits import check_count
from charloom.settings.sampling import DEFAULT_TEMPERATURE, GenerationPrecision
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, Word

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel
    from charloom.novelty.report import CopiedStretch, NoveltyReport

_SHOWN_CHARS = 300
"""Maximum number of characters of a copied passage that are shown: a model that memorized its text copies pages."""
_Repeated = Parameter(allow_leading_hyphen=True, negative="", metavar="STR", show_default=False)


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
    """Generate text that continues a prefix.

    Characters are sampled at a temperature of 0.7 unless --temperature, --power, --top-k, --top-p or --greedy is
    passed; with --seed, the text is reproducible. With --greedy, the most likely character is generated at each step,
    and the text is often repetitive.

    Parameters
    ----------
    model
        Folder of the model, or name of a model of the package or on the Hub (hf:USER/NAME).
    prefix
        Text to continue, normalized as the training text was. Default: the first prefix of the training run.
    num_chars
        Number of characters (bytes, for a byte model) to generate after the prefix.
    greedy
        Generate the most likely character at each step; the same as --temperature 0.
    num_samples
        Number of texts to generate, at most 10,000. Several texts are computed in one batch and printed at the end.
    stop
        End each sample before the first occurrence of this text.
    unknown
        Handling of out-of-vocabulary characters in the prefix: refuse (an error), unk (read them as `<unk>`), or skip.
    device
        Device to run on (cpu, cuda, ...); auto uses a GPU if available.
    precision
        Precision of the weights: float32, or int8, which is faster and slightly less accurate (CPU only).
    check_novelty
        Report on standard error which passages of the generated text are copied from this corpus: a name, file or
        folder as for 'charloom train', normalized as the training text was; repeat the option for several corpora.
    min_copied_chars
        With --check-novelty: minimum length of a copied passage, in characters (bytes, for a byte model). Default: 32.
    """
    from charloom.inference.generation import check_samples, generate_samples, stream
    from charloom.models.device import find_device
    from charloom.models.language_model import LanguageModel
    from charloom.text.corpora import read_raw_texts
    from charloom.text.decoding import hint_at_byte_models

    check_samples(num_samples, num_chars)
    screen.output()  # raises an error now if standard output is closed, not after loading the model
    sampling = _with_defaults(sampling, greedy=greedy)
    _check_novelty_options(check_novelty, min_copied_chars, num_chars * num_samples)
    loaded = LanguageModel.load(model).to(find_device(device))
    if num_samples > 1 and sampling.greedy:
        raise SettingsError("all greedy samples are the same: omit --greedy, or pass a --temperature above 0")
    unit = loaded.vocabulary.unit
    start = _default_prefix(loaded) if prefix is None else prefix
    # fsencode restores the bytes of an argument that is not UTF-8.
    texts = (start, stop) if unit == "char" else (os.fsencode(start), None if stop is None else os.fsencode(stop))
    # Read before generation, so that a wrong name is reported first.
    with hint_at_byte_models():
        corpus = read_raw_texts(check_novelty, unit) if check_novelty else []
    options: dict[str, Any] = {"stop": texts[1], "unknown": unknown, "precision": precision}
    if num_samples == 1:
        samples = [_print_chunks(stream(loaded, texts[0], num_chars, sampling, **options), keep=bool(corpus))]
    else:
        samples = generate_samples(loaded, texts[0], num_chars, sampling, num_samples=num_samples, **options)
        for number, text in enumerate(samples, 1):
            sys.stdout.write(f"--- sample {number} of {num_samples} ---\n{_shown(text)}\n")
    if corpus:
        # Flushed, so that the report on standard error follows the text.
        sys.stdout.flush()
        # Normalization and <unk> may change the length of the prefix, so that of its decoded tokens counts.
        after = len(loaded.vocabulary.decode(loaded.vocabulary.encode(start, unknown)))
        _show_novelty(loaded, [sample[after:] for sample in samples], check_novelty, corpus, min_copied_chars)


def _with_defaults(sampling: SamplingSettings, *, greedy: bool) -> SamplingSettings:
    """Returns the sampling settings with a temperature and a seed; prints the seed if standard error is a terminal."""
    requested = (sampling.temperature, sampling.power, sampling.top_k, sampling.top_p)
    if greedy:
        if any(value is not None for value in requested):
            raise SettingsError(
                "--greedy cannot be combined with --temperature, --power, --top-k or --top-p: omit --greedy or those "
                "options"
            )
        return sampling
    if all(value is None for value in requested):
        sampling = replace(sampling, temperature=DEFAULT_TEMPERATURE)
    if sampling.seed is None and not sampling.greedy:
        sampling = replace(sampling, seed=secrets.randbelow(10**6))  # six digits are easy to type again
        if sys.stderr.isatty():
            screen.messages().print(f"charloom: note: to generate the same text again, add --seed {sampling.seed}")
    return sampling


def _print_chunks(chunks: Iterable[str | bytes], *, keep: bool) -> str | bytes:
    """Prints chunks as they are generated. Returns the whole text if ``keep`` is set, otherwise the first chunk."""
    # A terminal shows text, and a character of UTF-8 may be split between two chunks.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    kept: list[Any] = []
    for chunk in chunks:
        # The first chunk is kept in any case: its type decides how the output ends.
        if keep or not kept:
            kept.append(chunk)
        # A file or pipe receives the exact bytes of a byte model.
        if isinstance(chunk, bytes) and not sys.stdout.isatty():
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            continue
        # Flushed for each chunk: otherwise a pipe would show text only when a buffer of kilobytes is full.
        sys.stdout.write(_shown(decoder.decode(chunk) if isinstance(chunk, bytes) else chunk))
        sys.stdout.flush()
    # A file of bytes must contain the generated bytes only, without a newline at the end.
    if isinstance(kept[0], str) or sys.stdout.isatty():
        sys.stdout.write(_shown(decoder.decode(b"", final=True)) + "\n")
    # An empty slice of a chunk is an empty text of its type.
    text: str | bytes = kept[0][:0].join(kept)
    return text


def _shown(text: str | bytes) -> str:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    # A terminal would execute escape sequences; a file must contain the text unchanged.
    return screen.printable(text) if sys.stdout.isatty() else text


def _default_prefix(model: "LanguageModel") -> str:
    """Returns the first prefix of the training run. Raises SettingsError if the folder does not contain one."""
    # The folder may come from anywhere, so that types are checked.
    prefixes = model.provenance.get("prefix") or []
    if not isinstance(prefixes, list) or not prefixes or not isinstance(prefixes[0], str):
        raise SettingsError("the model folder contains no prefix: pass one with --prefix")
    return prefixes[0]


def _check_novelty_options(corpus: Sequence[str], min_length: int | None, num_chars: int) -> None:
    """Raises SettingsError if the check is not possible, before any text is generated."""
    from charloom.novelty.report import MAX_TEXTS

    if min_length is not None:
        if not corpus:
            raise SettingsError("--min-copied-chars requires --check-novelty: pass both or neither")
        check_count("min_copied_chars", min_length, minimum=1)
    # num_chars counts all samples: they are searched together.
    if corpus and num_chars > MAX_TEXTS:
        raise SettingsError(
            f"--check-novelty is limited to a total of {MAX_TEXTS:,} characters over all samples: "
            "decrease --num-chars or --num-samples"
        )


def _show_novelty(
    model: "LanguageModel",
    texts: Sequence[str | bytes],
    corpus: Sequence[str],
    parts: list[tuple[str, str | bytes]],
    min_length: int | None,
) -> None:
    """Searches the corpus for passages of the texts, and prints a report to standard error."""
    from charloom.novelty.report import DEFAULT_MIN_LENGTH, check_novelty

    clean_up, unit = model.vocabulary.clean_up, model.vocabulary.unit
    found = check_novelty(texts, parts, clean_up=clean_up, min_length=min_length or DEFAULT_MIN_LENGTH)
    _show_copied(found, ", ".join(corpus), "bytes" if unit == "byte" else "characters")
    # The figures are misleading if the model was trained on a different text.
    if note := _describe_training_text(model, parts):
        screen.messages().print(note)


def _show_copied(report: "NoveltyReport", corpus: str, unit: str) -> None:
    """Prints the share of copied text, that of ordinary text, and a table of the copied passages."""
    console, noun = screen.messages(), unit.removesuffix("s")
    num_chars = sum(sample.num_chars for sample in report.samples)
    if not num_chars:
        console.print("Copied: nothing, because no text was generated.")
        return
    console.print(
        f"Copied: {report.share:.1%} of the {num_chars:,} generated {unit} are in passages of at least "
        f"{pluralize(report.min_length, noun)} that also occur in {screen.printable(corpus)}; the longest passage "
        f"found there, even if shorter than this minimum, is {pluralize(report.longest, noun)} long."
    )
    if report.num_chunks:
        console.print(
            f"For comparison: {report.baseline.share:.1%} of the {unit} in {pluralize(report.num_chunks, 'chunk')} of "
            f"that text are in passages of at least {pluralize(report.min_length, noun)} that also occur elsewhere in "
            f"that text; the longest passage found elsewhere is {pluralize(report.baseline.longest, noun)} long."
        )
    else:
        console.print("No comparison: that text is too short to be cut into chunks as long as the samples.")
    if not report.stretches:
        return
    # A single sample needs no column for its number.
    several = len(report.samples) > 1
    headings = (*(("sample",) if several else ()), "start", "length", "found in", "passage")
    rows = []
    for stretch in report.stretches:
        sample = (str(stretch.sample + 1),) if several else ()
        place = f"{screen.printable(stretch.source)}, line {stretch.line:,} ({noun} {stretch.corpus_start:,})"
        rows.append((*sample, f"{stretch.start:,}", f"{len(stretch.text):,}", place, _in_one_line(stretch)))
    screen.show_table(console, headings, rows, texts=range(len(headings) - 2, len(headings)))


def _in_one_line(stretch: "CopiedStretch") -> str:
    """Returns the start of a copied passage in quotes, with its line ends escaped."""
    # Bytes may be cut within a character of UTF-8, which backslashreplace then shows by its codes.
    text: str | bytes = stretch.text[:_SHOWN_CHARS]
    shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    shown = screen.printable(shown.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t"))
    return f'"{shown}"' + (" ..." if len(stretch.text) > _SHOWN_CHARS else "")


def _describe_training_text(model: "LanguageModel", parts: list[tuple[str, str | bytes]]) -> str:
    """Returns a note if the model was trained on a different text or on a part of this one; otherwise an empty str."""
    trained = model.provenance.get("corpus")
    if not isinstance(trained, dict) or not isinstance(trained.get("num_chars"), int):
        return ""
    chunks: list[Any] = [part for _, part in parts]
    text = model.vocabulary.clean_up(chunks[0][:0].join(chunks))
    # The hash in the folder is of the normalized text, so that the text is normalized before it is compared.
    num_chars = trained["num_chars"]
    # Training with --max-chars reads the start of a text, which has the same hash then.
    start = text[:num_chars]
    if hashlib.sha256(start if isinstance(start, bytes) else start.encode()).hexdigest() != trained.get("sha256"):
        name = screen.printable(str(trained.get("name", "")))
        length = pluralize(num_chars, "byte" if isinstance(text, bytes) else "character")
        return f"Note: the model was trained on a different text ({f'{name}, ' if name else ''}{length})."
    unit = "bytes" if isinstance(text, bytes) else "characters"
    if num_chars < len(text):
        return f"Note: the model was trained on the first {num_chars:,} of the {len(text):,} {unit} of that text."
    return ""
