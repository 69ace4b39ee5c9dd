"""``charloom compress``."""

import functools
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from charloom.cli import compressed_files
from charloom.cli.compressed_files import SUFFIX, FileOptions
from charloom.cli.options import Flag, Force, ModelOption, OutputFile, Word
from charloom.errors import InputError, SettingsError
from charloom.text.sources import STANDARD_INPUT


def compress(
    *files: Word[str],
    model: ModelOption[Path],
    output: OutputFile = None,
    keep: Annotated[Flag, Parameter(name=["--keep", "-k"])] = False,
    remove: Flag = False,
    force: Force = False,
    fast: Flag = False,
    records: Flag = False,
    threads: int | None = None,
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
    output
        Where to write; - for standard output. With one file only.
    keep
        Keep the input: the default, accepted as other compressors need it said.
    remove
        Delete each input when its output is in place.
    force
        Overwrite outputs; compress what is compressed already; write to a terminal.
    fast
        With the network alone: several times as fast, and not as small.
    records
        Each line a record, so that any can be read without the others (charloom decompress --record N).
    threads
        How many at once, each with its own memory. The output is the same for any number. Default: 2, 1 on one core.
    report
        Write no .loom: show what the file takes with this model and with other compressors, and from how much text on
        the model pays for itself; draw it, too.
    plot
        With --report: where the picture goes, a name in .png, .svg or .pdf. Default: FILE.compression.png.
    """
    options = FileOptions(output, remove, force)
    options.check(files)
    if keep and remove:
        raise SettingsError("--keep and --remove contradict each other: give one")
    if report:
        from charloom.cli.compression_report import report_on

        if len(files) > 1 or output or remove or records or fast:
            raise SettingsError("--report takes one file, --model, --plot, --threads and --force alone")
        report_on(files[0], model, plot, threads=threads, force=force)
        return 0
    if plot is not None:
        raise SettingsError("--plot goes with --report")

    from charloom.codec.codec import Codec

    codec = Codec(model, fast=fast, threads=threads)
    _ = codec.fingerprint  # what is wrong with the model is said once, before any file
    transform = codec.compress_lines if records else codec.compress_stream
    return compressed_files.each_file(files, functools.partial(_one, transform, options))


def _one(transform: compressed_files.Transform, options: FileOptions, file: str) -> None:
    from charloom.codec.format.container import HEADER_BYTES, is_compressed

    target = compressed_files.output_name(file, options, lambda name: name + SUFFIX)
    if target == STANDARD_INPUT and sys.stdout.isatty() and not options.force:
        raise InputError("compressed data is not for a terminal: name a file with --output, or --force it")
    with compressed_files.opened(file) as (stream, status):
        if not options.force and is_compressed(stream.peek(HEADER_BYTES)):
            raise InputError("compressed already: --force compresses it once more")
        with compressed_files.progress_bar(file, status and status.st_size) as progress:
            compressed_files.write(stream, status, target, options, transform, progress)
    compressed_files.remove_input(file, options, status)
