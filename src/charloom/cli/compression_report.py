"""``charloom compress --report``: what a text takes, as a table and a picture."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from charloom.cli import compressed_files, screen
from charloom.cli.output_files import check_targets, picture_format
from charloom.errors import CharloomError, CorpusError, SettingsError
from charloom.io.atomic import whole_file
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.inference.compression_report import CompressionReport, Row

_PICTURE = ".compression.png"
_KNOWN = 0.02
"""Share of a text that may be in the priming by chance, such as headers."""


def report_on(file: str, model: Path, plot: Path | None, *, threads: int | None, force: bool) -> None:
    """Measures, prints the table to standard output, writes the picture."""
    if plot is None:
        if file == STANDARD_INPUT:
            raise SettingsError("--report of standard input takes --plot: where should the picture go?")
        plot = Path(file + _PICTURE)
    drawn_as = picture_format(plot)
    check_targets(file, [("--plot", plot)], force=force)

    from charloom.inference.compression_report import plot_report, report_compression

    with compressed_files.opened(file) as (stream, _):
        data = stream.read()
    if not data:
        raise CorpusError(f"{compressed_files.shown(file)}: empty; there is nothing to measure")
    with screen.reading_progress("measuring") as show:
        report = report_compression(data, model, threads=threads, progress=show)
    _show(report)
    try:
        drawn = plot_report(report, Path(compressed_files.shown(file)).name, drawn_as)
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        raise CharloomError(f"no picture: drawing takes {library}, which is not on this machine") from None
    with whole_file(plot, overwrite=force) as picture:
        picture.write(drawn)
    screen.log().print(f"Drawn in {plot}")


def _show(report: "CompressionReport") -> None:
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
    pays = "" if row.ours else "never" if row.breaks_even_at == math.inf else f"{math.ceil(row.breaks_even_at):,}"
    per_char = f"{8 * row.num_bytes / report.num_chars:.4f}" if report.num_chars else ""
    return f"{math.ceil(row.num_bytes):,}", per_char, f"{8 * row.num_bytes / report.num_bytes:.4f}", pays
