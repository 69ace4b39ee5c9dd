"""What a text takes with a model and with other compressors, and from how much text on the model pays for itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charloom.codec.codec import Codec
from charloom.codec.model.integer_model import INTEGER_MODEL_FILE
from charloom.codec.model.priming import PRIMING_FILE, Priming
from charloom.errors import CharloomError, CorpusError
from charloom.inference.baselines import measure_compressors
from charloom.io import plots
from charloom.text.decoding import decoded, for_a_model_of_characters

_STRETCH = 64


@dataclass(frozen=True)
class Row:
    """One way to write the text.

    Attributes:
        name: Which.
        num_bytes: What the text takes so; None where it could not be measured.
        ours: Whether it takes the model to read it.
        note: What must be known to read the figure.
        breaks_even_at: For another compressor: bytes of such text from which on charloom and its model together are
            smaller; infinite where never.
    """

    name: str
    num_bytes: float | None
    ours: bool = False
    note: str = ""
    breaks_even_at: float = math.inf


@dataclass(frozen=True)
class CompressionReport:
    """All of it.

    Attributes:
        num_bytes: Of the text.
        num_chars: Of the text; None where it is not UTF-8.
        model_bytes: What it takes to send the model along.
        rows: The model's entropy first, then charloom, then the others.
        best: The row of charloom that breaks even is reckoned with.
        known: Share of the text that is in the priming too, in stretches of 64 bytes: what has been read before takes
            next to nothing, and says nothing of other texts.
    """

    num_bytes: int
    num_chars: int | None
    model_bytes: int
    rows: list[Row]
    best: Row
    known: float = 0.0


def report_compression(
    data: bytes, model: Path, *, threads: int | None = None, progress: Callable[[float], None] | None = None
) -> CompressionReport:
    """Compresses the text in every way that there is on this machine; what charloom made is decompressed and compared.

    progress: Called with the share of the ways that are done. Raises CorpusError for an empty text.
    """
    if not data:
        raise CorpusError("empty; there is nothing to measure")
    tell = progress or (lambda _: None)
    tell(0.0)
    rows = [_entropy_row(data, model)]
    for name, fast in (("charloom", False), ("charloom --fast", True)):
        rows.append(Row(name, _checked_size(Codec(model, fast=fast, threads=threads), data), ours=True))
        tell(len(rows) / 4)
    best = min(rows[1:], key=lambda row: row.num_bytes or 0)
    model_bytes = size_of_model(model)
    for name, size in measure_compressors(data).items():
        note = "" if size is not None else "not on this machine"
        at = break_even(len(data), best.num_bytes or 0, size, model_bytes)
        rows.append(Row(name, size, note=note, breaks_even_at=at))
    known = known_share(data, Priming.load(Path(model)).text)
    return CompressionReport(len(data), _num_chars(data), model_bytes, rows, best, known)


def break_even(num_bytes: int, ours: float, theirs: float | None, model_bytes: int) -> float:
    """Bytes of such text from which on ``ours`` and the model are less than ``theirs``; infinite where never.

    As if both went on at the rate that they had on these ``num_bytes``.
    """
    if theirs is None or ours >= theirs:
        return math.inf
    return model_bytes * num_bytes / (theirs - ours)


def known_share(data: bytes, priming: bytes) -> float:
    """Share of the bytes of a text that lie in stretches of 64 which the priming has too, at any place."""
    places = range(0, max(1, len(data) - _STRETCH + 1), _STRETCH)
    stretches = {priming[i : i + _STRETCH] for i in range(max(0, len(priming) - _STRETCH + 1))}
    return sum(data[i : i + _STRETCH] in stretches for i in places) / len(places)


def size_of_model(model: Path) -> int:
    """Bytes of what decompressing takes: the model in integers, and what it begins with."""
    return sum((model / name).stat().st_size for name in (INTEGER_MODEL_FILE, PRIMING_FILE) if (model / name).exists())


def _checked_size(codec: Codec, data: bytes) -> int:
    blob = codec.compress(data)
    if codec.decompress(blob) != data:
        raise CharloomError("what was compressed did not come back the same: please report this")
    return len(blob)


def _entropy_row(data: bytes, model: Path) -> Row:
    """The float model's own, characters that it lacks read as <unk>; nothing where it cannot read the text."""
    name = "entropy under the model"
    try:
        from charloom.inference.evaluation import evaluate
        from charloom.models.language_model import LanguageModel
    except ImportError as error:  # compressing does without
        if error.name != "torch":
            raise
        return Row(name, None, ours=True, note="takes PyTorch, which is not on this machine")
    loaded = LanguageModel.load(model)
    try:
        with for_a_model_of_characters():
            text = data if loaded.vocabulary.unit == "byte" else "".join(decoded([data], "the text"))
        result = evaluate(loaded, text, unknown="unk")
    except CorpusError as error:
        return Row(name, None, ours=True, note=str(error))
    clean = any(vars(loaded.vocabulary.clean_up).values())
    note = f"{'of the text cleaned as for training, and ' if clean else ''}unknown characters as one"
    return Row(name, result.total_nats / math.log(2) / 8, ours=True, note=note)


def _num_chars(data: bytes) -> int | None:
    try:
        return len(data.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def plot_report(report: CompressionReport, title: str, format: plots.PictureFormat = "png") -> bytes:  # noqa: A002
    """Bars of bits a byte; below, total size over the length of the text, the model counted."""
    from matplotlib.ticker import EngFormatter

    figure = plots.new_figure(7.5, 7)
    bars, lines = figure.subplots(2, 1, height_ratios=[1, 1.2])
    rows = [(row, row.num_bytes) for row in report.rows if row.num_bytes is not None]
    bits = [8 * size / report.num_bytes for _, size in rows]
    colors = ["tab:blue" if row.ours else "tab:gray" for row, _ in rows]
    bars.barh([row.name for row, _ in rows], bits, color=colors)
    bars.bar_label(bars.containers[0], fmt="%.3f", padding=3, fontsize=8)
    bars.invert_yaxis()
    bars.margins(x=0.12)
    bars.set_xlabel("bits for each byte of the text")
    bars.set_title(title)
    others = [(row, size) for row, size in rows if not row.ours]
    finite = [row.breaks_even_at for row, _ in others if row.breaks_even_at < math.inf]
    longest = max([4 * report.num_bytes, *(2 * at for at in finite)])
    lengths = [longest * step / 200 for step in range(1, 201)]
    rate = (report.best.num_bytes or 0) / report.num_bytes
    lines.plot(
        lengths, [report.model_bytes + rate * n for n in lengths], label=f"{report.best.name} and its model", lw=2
    )
    for row, size in others:
        lines.plot(lengths, [size / report.num_bytes * n for n in lengths], label=row.name, lw=1)
    lines.axvline(report.num_bytes, color="black", lw=0.8, ls=":", label="this text")
    lines.xaxis.set_major_formatter(EngFormatter(unit="B"))
    lines.yaxis.set_major_formatter(EngFormatter(unit="B"))
    lines.set_xlabel("length of the text (bytes)")
    lines.set_ylabel("compressed size (bytes)")
    lines.set_xlim(0, longest)
    lines.set_ylim(0, None)
    lines.grid(visible=True, alpha=0.25)
    lines.legend(fontsize=8)
    return plots.render_figure(figure, format)
