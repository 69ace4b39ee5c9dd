"""``charloom compress``: the command of ``charloom_codec``, with a report that compares compressors."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from charloom.cli.output_files import check_targets, picture_format
from charloom.errors import CharloomError, CorpusError, InputError, SettingsError, pluralize
from charloom_codec.cli import screen
from charloom_codec.cli.compress import CompressionOptions, compress_files, require_model
from charloom_codec.cli.compressed_files import describe_file, open_input
from charloom_codec.cli.file_options import FileOptions
from charloom_codec.cli.options import Flag, Force, ModelOption, Word
from charloom_codec.io.atomic import atomic_file
from charloom_codec.io.standard_streams import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.inference.compression_report import CompressionReport, Row

_PICTURE_SUFFIX = ".compression.png"
_MAX_KNOWN = 0.02
"""Maximum share of a text that may be in the priming text by chance, such as headers."""


def compress(
    *files: Word[str],
    model: ModelOption[Path | None] = None,
    options: Annotated[FileOptions, Parameter(name="*")] = FileOptions(),
    compression: Annotated[CompressionOptions, Parameter(name="*")] = CompressionOptions(),
    force: Force = False,
    report: Flag = False,
    plot: Path | None = None,
) -> int:
    """Compress files with a model.

    FILE is compressed to FILE.loom, with the same modification time and permissions; FILE is kept. Any file can be
    compressed; text that resembles the training text compresses best. Decompression needs the same model and works on
    any machine. If a file cannot be compressed, the others still are, and the exit status is nonzero.

    Parameters
    ----------
    files
        Files to compress; - or none reads standard input and writes to standard output.
    model
        Folder of the model, or name of a model of the package or on the Hub (hf:USER/NAME). Default: the environment
        variable CHARLOOM_MODEL.
    force
        Overwrite existing output files, compress files that are already compressed, and allow output to a terminal.
    report
        Compare the compressed size with those of other compressors, compute the amount of text above which the model
        pays off, and plot both. No .loom file is written.
    plot
        Plot file for --report (.png, .svg or .pdf). Default: FILE.compression.png.
    """
    if plot is not None and not report:
        raise SettingsError("--plot requires --report: pass both or omit --plot")
    if not report:
        return compress_files(files, model, options, compression, force=force)
    options.check(files)
    model = require_model(model)
    # --keep is accepted: a report keeps the file in any case.
    others = replace(options, keep=False, threads=None) != FileOptions() or compression != CompressionOptions()
    if len(files) != 1 or others:
        raise SettingsError(
            "--report accepts a single file and only the options --model, --plot, --threads, --force and --keep"
        )
    _write_report(files[0], model, plot, threads=options.num_threads, force=force)
    return 0


def _write_report(file: str, model: Path, plot: Path | None, *, threads: int | None, force: bool) -> None:
    """Measures a file, prints the table to standard output and writes the picture."""
    if plot is None:
        if file == STANDARD_INPUT:
            raise SettingsError("--report on standard input requires --plot: pass a plot file")
        plot = Path(file + _PICTURE_SUFFIX)
    # Wrong names are reported before the measurement, which takes minutes for a long file.
    picture_kind = picture_format(plot)
    check_targets(file, [("--plot", plot)], force=force)

    from charloom.inference.compression_report import plot_report, report_compression

    try:
        with open_input(file) as (stream, _):
            # Read as a whole: each compressor needs the text from its start, and a pipe cannot be read twice.
            data = stream.read()
    except InputError as error:
        raise InputError(f"{describe_file(file)}: ", *error.parts) from None
    if not data:
        raise CorpusError(f"{describe_file(file)}: the file is empty; pass a file with text")
    with screen.reading_progress("measuring") as show:
        report = report_compression(data, model, threads=threads, progress=show)
    # Printed before the plot, so that a missing matplotlib does not lose the measurement.
    _show_report(report)
    try:
        picture_bytes = plot_report(report, Path(describe_file(file)).name, picture_kind)
    except ImportError as error:
        # error.name may be a submodule, or a library that matplotlib imports; pip installs packages.
        library = (error.name or "").partition(".")[0]
        raise CharloomError(f"no plot was drawn: {library} is not installed; install it with pip") from None
    with atomic_file(plot, overwrite=force) as picture:
        picture.write(picture_bytes)
    screen.log().print(f"Plot saved to {plot}")


def _show_report(report: "CompressionReport") -> None:
    """Prints the table of sizes, with the notes that its numbers need."""
    console = screen.log()
    headings = ("", "bytes", "bits/char", "bits/byte", "break-even (bytes of text)", "")
    rows = [(row.name, *_format_cells(row, report), row.note) for row in report.rows]
    screen.show_table(console, headings, rows, texts=(0, 5))
    chars = "" if report.num_chars is None else f" ({pluralize(report.num_chars, 'character')})"
    console.print(
        f"The text is {pluralize(report.num_bytes, 'byte')} long{chars}; the model, which decompression also needs, "
        f"takes {pluralize(report.model_bytes, 'byte')}."
    )
    # Text that the model was primed with is compressed to almost nothing, unlike new text.
    if report.known > _MAX_KNOWN:
        console.print(
            f"Not representative: the priming text in the model folder contains {report.known:.0%} of this text. "
            "Measure a text that the model was not trained on; to measure the held-out part of the training text, "
            "train the model with --no-priming."
        )
    console.print(
        f"Break-even: the amount of text above which the output of {report.best.name} plus the model is smaller than "
        "the other compressor's output, if both compression ratios stay the same."
    )


def _format_cells(row: "Row", report: "CompressionReport") -> tuple[str, str, str, str]:
    """Returns the cells of a row: bytes, bits per character, bits per byte, break-even."""
    if row.num_bytes is None:
        return "", "", "", ""
    # Break-even compares the model with compressors that need no model; other rows have none.
    break_even = (
        "" if row.needs_model else "never" if row.breaks_even_at == math.inf else f"{math.ceil(row.breaks_even_at):,}"
    )
    # Data that is not text has no characters.
    per_char = f"{8 * row.num_bytes / report.num_chars:.4f}" if report.num_chars else ""
    return f"{math.ceil(row.num_bytes):,}", per_char, f"{8 * row.num_bytes / report.num_bytes:.4f}", break_even
