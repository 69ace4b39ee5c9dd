"""``charloom evaluate``."""

import codecs
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from charloom.errors import SettingsError, pluralize
from charloom.settings.corpus import LineOrder, Unit, UnknownPolicy
from charloom_codec.cli import screen
from charloom_codec.cli.options import Flag, Word

if TYPE_CHECKING:
    from charloom.inference.baselines import Baseline
    from charloom.inference.surprisal import Evaluation, Surprisal
    from charloom.models.language_model import LanguageModel

_MIN_COMPRESSED = 500
"""Minimum size in bytes of a text for which other compressors are shown: headers distort the sizes of shorter ones."""
_MAX_PERPLEXITY = 1e7
_MIN_TEXT = 20
"""Minimum number of columns for the text of a line beside two scores."""
_ONE_LINE = str.maketrans("\t\n", "  ")
_Mode: TypeAlias = Literal["network", "adaptive", "independent"]
_PROTOCOLS: dict[_Mode, str] = {
    "network": "The state started at zero and was never reset; every {unit} except the first{skipped} was scored.",
    "adaptive": "The context models had read the training text and learned from this text; every {unit} was scored.",
    "independent": "The context models had read the training text, and scored each line by itself.",
}
"""Description of the scoring, by mode."""


def evaluate(
    model: Path,
    file: Word[str],
    /,
    *,
    by_char: Flag = False,
    by_line: Flag = False,
    sort: LineOrder | None = None,
    top: int | None = None,
    adaptive: Flag = False,
    independent: Flag = False,
    as_json: Annotated[Flag, Parameter(name="--json")] = False,
    unknown: UnknownPolicy | None = None,
    device: str = "cpu",
) -> None:
    """Compute the perplexity of a text under a model.

    The text is read in one pass: the state starts at zero and is never reset. Every character except the first is
    scored. The text is normalized as the training text was. The baselines uniform, unigram, gzip and xz are measured on
    the same text. With --unknown skip, the baselines omit the skipped characters, too.

    With --adaptive, the text is scored by the predictor of `charloom compress`: the network, mixed with context models
    that have read the training text and continue to learn. Every character is scored, without normalization; of a text
    that is not UTF-8, every byte. Texts of more than 1 MiB are read in several parts, as they are compressed.

    Parameters
    ----------
    model
        Folder of the model, or name of a model of the package or on the Hub (hf:USER/NAME).
    file
        Text file (.gz, .xz and .zst are decompressed); - for standard input.
    by_char
        Print the surprisal of each character as JSON lines; print the summary on standard error.
    by_line
        Print the surprisal of each line, including its line break, as JSON lines; print the summary on standard error.
    sort
        With --by-line: sort the lines by bits, by bits per character, by the mean bits of the words without digits
        (times, counters and addresses then have no effect), or, with --adaptive or --independent, by rarity: the
        number of lines among which one is as surprising, as a power of 10; highest first. Default: the order of the
        text.
    top
        With --by-line: print a table of the N most surprising lines. They are sorted by bits unless --sort is passed;
        with --adaptive or --independent by rarity, if at least 20 lines were held out from training.
    adaptive
        Score with the predictor of `charloom compress`, which learns from the text while it reads it: what repeats
        becomes less surprising. The network alone and zpaq, if installed, are shown among the baselines.
    independent
        With --by-line: score with the same predictor, but each line by itself, as if it was the first one after the
        training text: all occurrences of an unusual message are surprising.
    as_json
        Print the summary as JSON.
    unknown
        Handling of out-of-vocabulary characters: refuse (an error), unk (read them as `<unk>`), or skip. Default:
        refuse, but unk with --by-line; each such character then adds the surprisal of `<unk>` to the score of its line.
    device
        Device to run on (cpu, cuda, ...); auto uses a GPU if available.
    """
    from charloom.inference.baselines import measure_baselines
    from charloom.inference.evaluation import evaluate_chunks
    from charloom.inference.lines import evaluate_lines
    from charloom.models.device import find_device
    from charloom.models.language_model import LanguageModel
    from charloom.text.chunks import split_chars
    from charloom.text.decoding import hint_at_byte_models
    from charloom.text.sources import read_any_bytes, read_sources

    # Before a long text is read.
    _check_options(by_char, by_line, sort, top, as_json)
    mode = _choose_mode(adaptive, independent, by_line, unknown)
    results = screen.results()
    loaded = LanguageModel.load(model).to(find_device(device))
    vocabulary = loaded.vocabulary
    unknown = unknown or ("unk" if by_line else "refuse")
    by_network = mode == "network"
    with hint_at_byte_models():
        text = (read_sources if by_network else read_any_bytes)([file], vocabulary.unit)
    predictor = loaded if by_network else model
    with screen.reading_progress("reading") as show:
        if by_line:
            modes = {"adaptive": adaptive, "independent": independent}
            result, surprisals = evaluate_lines(
                predictor, text, **modes, unknown=unknown, sort=sort, top=top, progress=show
            )
        else:
            chunks = split_chars(text) if by_char else [text]
            result, surprisals = evaluate_chunks(predictor, chunks, adaptive=adaptive, unknown=unknown, progress=show)
    # The baselines must measure the same characters as the model, or the comparison would be unfair.
    measured = normalized = vocabulary.clean_up(text) if by_network else text
    if unknown == "skip":
        measured = vocabulary.decode(vocabulary.encode(text, unknown))
    unit: Unit = "byte" if isinstance(measured, bytes) else "char"
    num_tokens = 256 if unit == "byte" else len(vocabulary)
    baselines = measure_baselines(measured, num_tokens, with_zpaq=not by_network)
    if not by_network and len(text) > 1:  # the network does not score the first character
        baselines.insert(0, _measure_network(loaded, text))
    if as_json:
        results.print(json.dumps(_summary(result, baselines, len(measured))))
        return
    if top is not None:
        _show_top(results, surprisals, sort, by_network=by_network)
    elif by_char or by_line:
        _write_json_lines(surprisals, "line" if by_line else "char")
    # Standard output must contain nothing but JSON lines, for other programs to read.
    console = screen.messages() if by_char or by_line else results
    num_skipped = len(normalized) - len(measured)
    _show_summary(console, result, baselines, measured, unit, num_skipped=num_skipped, mode=mode)


def _show_top(console: Console, lines: list["Surprisal"], sort: LineOrder | None, *, by_network: bool) -> None:
    """Prints the table of lines in the order that ``evaluate_lines`` has chosen if ``sort`` is None."""
    is_rarity_known = bool(lines) and lines[0].rarity is not None
    if sort is None and not by_network and not is_rarity_known:
        screen.messages().print(
            "charloom: note: sorted by bits: rarity needs at least 20 lines that were held out from training "
            "(--validation-fraction 0.1)"
        )
    show_lines(console, lines, sort or ("rarity" if is_rarity_known else "bits"))


def _measure_network(model: "LanguageModel", text: str | bytes) -> "Baseline":
    """Returns the evaluation of the network alone as a baseline of an evaluation of the mixture."""
    from charloom.inference.baselines import Baseline
    from charloom.inference.evaluation import evaluate

    if isinstance(text, bytes) and model.vocabulary.unit == "char":
        text = text.decode("utf-8", "surrogateescape")  # a byte that is not UTF-8 is a character out of vocabulary
    with screen.reading_progress("reading (network alone)") as show:
        result = evaluate(model, text, unknown="unk", progress=show)
    notes = ["of the normalized text"] if any(vars(model.vocabulary.clean_up).values()) else []
    if result.num_unknown:
        notes.append(f"{pluralize(result.num_unknown, 'character')} as <unk>")
    return Baseline("network alone", result.bits_per_char * len(text), ", ".join(notes))


def _check_options(by_char: bool, by_line: bool, sort: LineOrder | None, top: int | None, as_json: bool) -> None:
    if by_char + by_line + as_json > 1:
        raise SettingsError("--by-char, --by-line and --json cannot be combined: pass only one of them")
    for option, value in (("--top", top), ("--sort", sort)):
        if value is not None and not by_line:
            raise SettingsError(f"{option} requires --by-line: pass both or neither")
    if top is not None and top < 1:
        raise SettingsError("it must be at least 1", setting="top", value=top)


def _choose_mode(adaptive: bool, independent: bool, by_line: bool, unknown: UnknownPolicy | None) -> _Mode:
    """Returns the mode that the options select. Raises SettingsError if they contradict each other."""
    if adaptive and independent:
        raise SettingsError("--adaptive and --independent contradict each other: omit one of them")
    if independent and not by_line:
        raise SettingsError("--independent requires --by-line: pass both or neither")
    mode: _Mode = "adaptive" if adaptive else "independent" if independent else "network"
    if mode != "network" and unknown is not None:
        raise SettingsError(f"--unknown has no effect with --{mode}, which scores every character: omit one of them")
    return mode


def _summary(result: "Evaluation", baselines: list["Baseline"], num_chars: int) -> dict[str, object]:
    names = ("num_chars", "num_bytes", "total_nats", "nats_per_char", "bits_per_char", "bits_per_byte", "perplexity")
    figures = {name: getattr(result, name) for name in (*names, "num_unknown")}
    figures = {name: value if math.isfinite(value) else None for name, value in figures.items()}  # JSON has no infinity
    return figures | {"baselines_bits_per_char": {one.name: one.total_bits / num_chars for one in baselines}}


def _write_json_lines(surprisals: list["Surprisal"], name: str) -> None:
    out = sys.stdout
    to_unicode = codecs.lookup(out.encoding).name == "utf-8"  # otherwise JSON's escapes, which any encoding can write
    for chunk in surprisals:
        # The first character is not scored, so that a chunk may have no score: null, since 0 bits would be wrong.
        row: dict[str, object] = {name: chunk.number, "bits": chunk.bits if chunk.num_chars else None}
        if name == "line":
            row["bits_per_char"] = chunk.bits_per_char if chunk.num_chars else None
            row["bits_per_word"] = chunk.bits_per_word if chunk.num_chars else None
            if chunk.unexpected_bits is not None:
                row["unexpected_bits"] = chunk.unexpected_bits
            if chunk.rarity is not None:
                row["rarity"] = chunk.rarity
            row["num_unknown"] = chunk.num_unknown
        # The line end is part of the score but not of the text, as a reader of lines expects.
        row["text"] = chunk.text.rstrip("\r\n") if name == "line" else chunk.text
        out.write(json.dumps(row, ensure_ascii=not to_unicode) + "\n")


def show_lines(console: Console, lines: list["Surprisal"], order: LineOrder) -> None:
    """Prints a table of lines: number, the score that they are sorted by, another score, text.

    On a terminal the text is truncated to the width; a narrow terminal does not show the other score.
    """
    # Not a rich table: that would shrink the numbers, too.
    scores = {
        "bits": ["bits", *(f"{line.bits:.1f}" for line in lines)],
        "bits-per-char": ["bits/char", *(f"{line.bits_per_char:.3f}" for line in lines)],
        "bits-per-word": ["bits/word", *(f"{line.bits_per_word:.1f}" for line in lines)],
        "rarity": ["rarity", *(f"{line.rarity or 0:.1f}" for line in lines)],
    }
    # The sort key is first, because a narrow terminal drops the last score.
    columns = [["line", *(f"{line.number}" for line in lines)], scores[order]]
    columns.append(scores["bits-per-char" if order == "bits" else "bits"])
    columns = [[f"{cell:>{max(map(len, column))}}  " for cell in column] for column in columns]
    if console.width - sum(len(column[0]) for column in columns) < _MIN_TEXT:
        del columns[-1]
    for numbers, text in zip(zip(*columns, strict=True), ["text", *(line.text for line in lines)], strict=True):
        row = Text("".join(numbers) + screen.printable(text.rstrip("\r\n")).translate(_ONE_LINE))
        # A file or pipe gets the complete line.
        if console.is_terminal:
            row.truncate(console.width, overflow="ellipsis")
        console.print(row)


def _show_summary(
    console: Console,
    result: "Evaluation",
    baselines: list["Baseline"],
    text: str | bytes,
    unit: Unit,
    *,
    num_skipped: int,
    mode: _Mode,
) -> None:
    from charloom.inference.surprisal import perplexity_of

    num_bytes = len(text if isinstance(text, bytes) else text.encode("utf-8"))
    too_short = num_bytes < _MIN_COMPRESSED
    compressors = [baseline.name.split()[0] for baseline in baselines if baseline.compressed]
    # The headers would make the model look better than it is.
    if too_short:
        baselines = [baseline for baseline in baselines if not baseline.compressed]
    name = "this model" if mode == "network" else f"this model, {mode}"
    rows = [(name, result.bits_per_char, result.bits_per_byte, "")]
    rows += [(b.name, b.total_bits / len(text), b.total_bits / num_bytes, b.note) for b in baselines]
    shown_rows = []
    for name, per_char, per_byte, note in rows:
        nats = per_char * math.log(2)
        perplexity = perplexity_of(nats)
        # A huge perplexity in fixed notation would widen the table beyond a terminal.
        shown = f"{perplexity:.3f}" if perplexity < _MAX_PERPLEXITY else f"{perplexity:.3g}"
        shown_rows.append((name, f"{nats:.4f}", f"{per_char:.4f}", f"{per_byte:.4f}", shown, note))
    columns = [*zip(("", f"nats/{unit}", f"bits/{unit}", "bits/byte", "perplexity", ""), *shown_rows, strict=True)]
    if unit == "byte":  # bits/unit and bits/byte are the same
        del columns[2]
    headings, *cells = zip(*columns, strict=True)
    screen.show_table(console, headings, cells, texts=(0, len(columns) - 1))
    noun = "byte" if unit == "byte" else "character"
    if too_short:
        console.print(
            f"{' and '.join(compressors)} are not shown: for a text of fewer than {_MIN_COMPRESSED} bytes, their "
            "headers would distort the comparison."
        )
    protocol = _PROTOCOLS[mode].format(unit=noun, skipped=" and the skipped ones" if num_skipped else "")
    console.print(f"{pluralize(result.num_chars, noun)} scored in one pass. {protocol}")
    if num_skipped:
        console.print(
            f"{pluralize(num_skipped, 'out-of-vocabulary character')} {'was' if num_skipped == 1 else 'were'} skipped."
        )
    if result.num_unknown:
        console.print(
            f"{pluralize(result.num_unknown, 'character')} out of vocabulary: each was scored with the probability of "
            "<unk>."
        )
