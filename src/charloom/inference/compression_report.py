"""A comparison of a text's size under charloom and under other compressors, with the break-even length of the model."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charloom.errors import CharloomError, CorpusError
from charloom.inference.baselines import measure_compressors
from charloom.io import plots
from charloom.text.decoding import decode_utf8, hint_at_byte_models
from charloom_codec.codec import Codec
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE
from charloom_codec.model.priming import PRIMING_FILE, Priming
from charloom_codec.named_models.finding import find_folder

_BLOCK_BYTES = 64
"""Length of the blocks of a text that are looked up in the priming."""


@dataclass(frozen=True)
class Row:
    """The size of the text under one method.

    Attributes:
        name: Name of the method, with its options.
        num_bytes: Size in bytes; None if it could not be measured.
        needs_model: True if the model is needed for decompression.
        note: Condition under which the figure holds, or the reason why there is none.
        breaks_even_at: For another compressor, the length of such text in bytes from which charloom's output and the
            model together are smaller; infinite if never.
    """

    name: str
    num_bytes: float | None
    needs_model: bool = False
    note: str = ""
    breaks_even_at: float = math.inf


@dataclass(frozen=True)
class CompressionReport:
    """The sizes of a text under all methods.

    Attributes:
        num_bytes: Length of the text in bytes.
        num_chars: Length of the text in characters; None if it is not UTF-8.
        model_bytes: Size in bytes of the model's files that decompression needs.
        rows: Row of the model's entropy, then those of charloom, then those of other compressors.
        best: Row of charloom with the smaller size, for which the break-even lengths are computed.
        known: Share of the text, in blocks of 64 bytes, that the priming (text that the compressor reads before the
            data) contains too. Such blocks take almost no space, so that the result does not generalize to other texts.
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
    """Compresses a text by every method available on this machine; charloom's output is decompressed and compared.

    Args:
        data: Bytes of the text.
        model: Folder of the model.
        threads: Number of threads of the codec; its default if None.
        progress: Callback for the fraction that is done, from 0 to 1.

    Returns:
        The sizes.

    Raises:
        CorpusError: The text is empty.
    """
    if not data:
        raise CorpusError("the text is empty: pass a text to measure")
    report_progress = progress or (lambda _: None)
    report_progress(0.0)
    rows = [_entropy_row(data, model)]
    for name, fast in (("charloom", False), ("charloom --fast", True)):
        codec = Codec(model, fast=fast, threads=threads)
        blob = codec.compress(data)
        # A size without this check would be worth nothing.
        if codec.decompress(blob) != data:
            raise CharloomError(
                "the decompressed text differs from the original: this is a bug in charloom; please report it"
            )
        rows.append(Row(name, len(blob), needs_model=True))
        # Four parts: entropy, two modes of charloom, and all other compressors together.
        report_progress(len(rows) / 4)
    # Without the first row: the entropy is a limit, not a file.
    best = min(rows[1:], key=lambda row: row.num_bytes or 0)
    model_bytes = size_of_model(model)
    for name, size in measure_compressors(data).items():
        note = "" if size is not None else "not available, or failed"
        at = break_even(len(data), best.num_bytes or 0, size, model_bytes)
        rows.append(Row(name, size, note=note, breaks_even_at=at))
    known = measure_known_share(data, Priming.load(find_folder(model)).text)
    return CompressionReport(len(data), _num_chars(data), model_bytes, rows, best, known)


def break_even(num_bytes: int, charloom_bytes: float, other_bytes: float | None, model_bytes: int) -> float:
    """Returns the length in bytes from which charloom's output and the model are smaller than another's output.

    Args:
        num_bytes: Length of the measured text.
        charloom_bytes: Size of charloom's output in bytes.
        other_bytes: Size of the other compressor's output in bytes; None if unknown.
        model_bytes: Size of the model in bytes.

    Returns:
        The length, on the assumption that both keep the rate of the measured text; infinite if there is none.
    """
    if other_bytes is None or charloom_bytes >= other_bytes:
        return math.inf
    return model_bytes * num_bytes / (other_bytes - charloom_bytes)


def measure_known_share(data: bytes, priming: bytes) -> float:
    """Returns the share of a text's 64-byte blocks that the priming contains at any position."""
    positions = range(0, max(1, len(data) - _BLOCK_BYTES + 1), _BLOCK_BYTES)
    # The text is cut into blocks, the priming is searched at every offset: a shared passage need not be aligned.
    blocks = {priming[i : i + _BLOCK_BYTES] for i in range(max(0, len(priming) - _BLOCK_BYTES + 1))}
    return sum(data[i : i + _BLOCK_BYTES] in blocks for i in positions) / len(positions)


def size_of_model(model: Path) -> int:
    """Returns the size in bytes of the files that decompression needs: the integer model and the priming."""
    model = find_folder(model)
    return sum((model / name).stat().st_size for name in (INTEGER_MODEL_FILE, PRIMING_FILE) if (model / name).exists())


def _entropy_row(data: bytes, model: Path) -> Row:
    """Measures the entropy under the float model, with <unk> for unknown characters; no size for unreadable text."""
    name = "cross-entropy of the network"
    # Imported here, since PyTorch takes seconds to import, and may be missing.
    try:
        from charloom.inference.evaluation import evaluate
        from charloom.models.language_model import LanguageModel
    except ImportError as error:  # the codec does not need PyTorch, and this report should not either
        if error.name != "torch":
            raise
        return Row(name, None, needs_model=True, note="needs PyTorch, which is not installed")
    loaded = LanguageModel.load(model)
    try:
        with hint_at_byte_models():
            text = data if loaded.vocabulary.unit == "byte" else "".join(decode_utf8([data], "the text"))
        result = evaluate(loaded, text, unknown="unk")
    except CorpusError as error:
        return Row(name, None, needs_model=True, note=str(error))
    # Normalization loses information, so that this figure is no bound for the compressors, which keep every byte.
    is_normalized = any(vars(loaded.vocabulary.clean_up).values())
    note = f"{'of the normalized text, with ' if is_normalized else ''}out-of-vocabulary characters as <unk>"
    return Row(name, result.total_nats / math.log(2) / 8, needs_model=True, note=note)


def _num_chars(data: bytes) -> int | None:
    try:
        return len(data.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def plot_report(report: CompressionReport, title: str, format: plots.PictureFormat = "png") -> bytes:  # noqa: A002
    """Draws bars of bits per byte, and below them the total size over the length of the text, model included."""
    # Imported here: matplotlib is optional, and needed for pictures only.
    from matplotlib.ticker import EngFormatter

    figure = plots.new_figure(7.5, 7)
    bars, lines = figure.subplots(2, 1, height_ratios=[1, 1.2])
    rows = [(row, row.num_bytes) for row in report.rows if row.num_bytes is not None]
    bits = [8 * size / report.num_bytes for _, size in rows]
    colors = ["tab:blue" if row.needs_model else "tab:gray" for row, _ in rows]
    bars.barh([row.name for row, _ in rows], bits, color=colors)
    bars.bar_label(bars.containers[0], fmt="%.3f", padding=3, fontsize=8)
    bars.invert_yaxis()  # the first row at the top
    bars.margins(x=0.12)  # room for the labels at the ends of the bars
    bars.set_xlabel("bits per byte of the text")
    bars.set_title(title)
    others = [(row, size) for row, size in rows if not row.needs_model]
    finite = [row.breaks_even_at for row, _ in others if row.breaks_even_at < math.inf]
    # Twice the last break-even length, so that every crossing of two lines is visible.
    max_length = max([4 * report.num_bytes, *(2 * at for at in finite)])
    lengths = [max_length * step / 200 for step in range(1, 201)]
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
    lines.set_xlim(0, max_length)
    lines.set_ylim(0, None)  # from 0, so that lengths compare by eye
    lines.grid(visible=True, alpha=0.25)
    lines.legend(fontsize=8)
    return plots.render_figure(figure, format)
