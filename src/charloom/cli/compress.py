"""``charloom compress``."""

import math
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter

from charloom.cli import screen
from charloom.cli.compressed_files import SUFFIX, FileOptions, each_file, opened, shown
from charloom.cli.options import Flag, Force, ModelOption, Word
from charloom.cli.output_files import check_targets, picture_format
from charloom.errors import CharloomError, CorpusError, InputError, SettingsError
from charloom.io.atomic import atomic_file
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.inference.compression_report import CompressionReport, Row

_PICTURE = ".compression.png"
_KNOWN = 0.02
"""Share of a text that may be in the priming by chance, such as headers."""


def compress(
    *files: Word[str],
    model: ModelOption[Path],
    options: Annotated[FileOptions, Parameter(name="*")] = FileOptions(),
    force: Force = False,
    fast: Flag = False,
    by_line: Flag = False,
    report: Flag = False,
    plot: Path | None = None,
) -> int:
    """Compress files with a model.

    Each FILE becomes FILE.loom beside it, with its time and permissions; what was compressed is kept. Any file goes
    through; text like the model's own shrinks best. Decompressing takes the same model, on any machine. Where one file
    fails the others go on, and the status is 1.

    Parameters
    ----------
    files
        What to compress; - for standard input, which goes to standard output.
    model
        A model's folder.
    force
        Overwrite outputs; compress what is compressed already; write to a terminal.
    fast
        With the network alone: several times as fast, and not as small.
    by_line
        Each line by itself, a record: any can be read without the others (charloom decompress --record N).
    report
        Write no .loom: show what the file takes with this model and with other compressors, and from how much text on
        the model pays for itself; draw it, too.
    plot
        With --report: where the picture goes, a name in .png, .svg or .pdf. Default: FILE.compression.png.
    """
    options.check(files)
    if report:
        if len(files) > 1 or options.output or options.remove or by_line or fast:
            raise SettingsError("--report takes one file, --model, --plot, --threads and --force alone")
        _report_on(files[0], model, plot, threads=options.threads, force=force)
        return 0
    if plot is not None:
        raise SettingsError("--plot goes with --report")

    from charloom.codec.codec import Codec
    from charloom.codec.format.container import HEADER_BYTES, is_compressed

    codec = Codec(model, fast=fast, threads=options.threads)
    _ = codec.fingerprint  # what is wrong with the model is said once, before any file
    work = codec.compress_lines if by_line else codec.compress_stream

    def transform(source: BufferedReader, target: BinaryIO, progress: Callable[[object], None]) -> None:
        if target.isatty() and not force:
            raise InputError("compressed data is not for a terminal: name a file with --output, or --force it")
        if not force and is_compressed(source.peek(HEADER_BYTES)):
            raise InputError("compressed already: --force compresses it once more")
        work(source, target, progress)

    return each_file(files, transform, options, lambda name: name + SUFFIX, force=force)


def _report_on(file: str, model: Path, plot: Path | None, *, threads: int | None, force: bool) -> None:
    """Measures, prints the table to standard output, writes the picture."""
    if plot is None:
        if file == STANDARD_INPUT:
            raise SettingsError("--report of standard input takes --plot: where should the picture go?")
        plot = Path(file + _PICTURE)
    drawn_as = picture_format(plot)
    check_targets(file, [("--plot", plot)], force=force)

    from charloom.inference.compression_report import plot_report, report_compression

    with opened(file) as (stream, _):
        data = stream.read()
    if not data:
        raise CorpusError(f"{shown(file)}: empty; there is nothing to measure")
    with screen.reading_progress("measuring") as show:
        report = report_compression(data, model, threads=threads, progress=show)
    _show_report(report)
    try:
        drawn = plot_report(report, Path(shown(file)).name, drawn_as)
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        raise CharloomError(f"no picture: drawing takes {library}, which is not on this machine") from None
    with atomic_file(plot, overwrite=force) as picture:
        picture.write(drawn)
    screen.log().print(f"Drawn in {plot}")


def _show_report(report: "CompressionReport") -> None:
    console = screen.log()
    headings = ("", "bytes", "bits/char", "bits/byte", "pays from (bytes of text)", "")
    rows = [(row.name, *_figures(row, report), row.note) for row in report.rows]
    screen.show_table(console, headings, rows, texts=(0, 5))
    chars = "" if report.num_chars is None else f", {report.num_chars:,} characters"
    console.print(
        f"The text has {report.num_bytes:,} bytes{chars}; the model, which both ends need, {report.model_bytes:,}."
    )
    if report.known > _KNOWN:
        console.print(
            f"Not representative: the priming, which the model ships with, contains {report.known:.0%} of this text. "
            "Measure a text that the model was not trained on, or train with --no-priming."
        )
    console.print(
        f"A model pays from where {report.best.name} and the model together are smaller than the other, if both go on "
        "as on this text."
    )


def _figures(row: "Row", report: "CompressionReport") -> tuple[str, str, str, str]:
    if row.num_bytes is None:
        return "", "", "", ""
    pays = (
        "" if row.needs_model else "never" if row.breaks_even_at == math.inf else f"{math.ceil(row.breaks_even_at):,}"
    )
    per_char = f"{8 * row.num_bytes / report.num_chars:.4f}" if report.num_chars else ""
    return f"{math.ceil(row.num_bytes):,}", per_char, f"{8 * row.num_bytes / report.num_bytes:.4f}", pays
