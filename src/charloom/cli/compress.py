"""``charloom compress``."""

from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from charloom.cli.compressed_files import SUFFIX, FileOptions, each_file
from charloom.cli.options import Flag, Force, ModelOption, Word
from charloom.errors import InputError, SettingsError


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
        from charloom.cli.compression_report import report_on

        if len(files) > 1 or options.output or options.remove or by_line or fast:
            raise SettingsError("--report takes one file, --model, --plot, --threads and --force alone")
        report_on(files[0], model, plot, threads=options.threads, force=force)
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
