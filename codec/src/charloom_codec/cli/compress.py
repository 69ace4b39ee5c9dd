"""``compress``: files to .loom files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from charloom_codec.cli.compressed_files import transform_each_file
from charloom_codec.cli.decompress import decompress_files
from charloom_codec.cli.file_options import FileOptions, find_default_model
from charloom_codec.cli.options import Flag, Force, ModelOption, Word
from charloom_codec.errors import InputError, RecordTooLongError, SettingsError
from charloom_codec.named_models.finding import find_folder


@dataclass(frozen=True)
class CompressionOptions:
    """Options of ``compress`` alone.

    Attributes:
        fast: Compress with the network alone, without context mixing: faster (about twice as fast with an LSTM of 256
            units), but the files are larger.
        by_line: Compress each line as a separate record; 'decompress --record N' decompresses line N alone.
    """

    fast: Flag = False
    by_line: Flag = False


def compress(
    *files: Word[str],
    model: ModelOption[Path | None] = None,
    options: Annotated[FileOptions, Parameter(name="*")] = FileOptions(),
    compression: Annotated[CompressionOptions, Parameter(name="*")] = CompressionOptions(),
    force: Force = False,
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
    """
    return compress_files(files, model, options, compression, force=force)


def compress_files(
    files: Sequence[str], model: Path | None, options: FileOptions, compression: CompressionOptions, *, force: bool
) -> int:
    """Compresses files or, as the options state, decompresses, tests or lists them; returns the exit status."""
    options.check(files)
    if options.decompress or options.test or options.list_files:
        if compression != CompressionOptions():
            raise SettingsError("--fast and --by-line are for compression only: omit them")
        return decompress_files(files, model, options, force=force)
    options.apply()
    model = require_model(model)

    from charloom_codec.codec import Codec
    from charloom_codec.format.container import HEADER_BYTES, is_compressed

    # One codec for all files, so that the model is loaded once.
    codec = Codec(model, fast=compression.fast, threads=options.num_threads)
    _ = codec.fingerprint  # reads the model now: a damaged one is reported once, not for each file
    compress_into = codec.compress_lines if compression.by_line else codec.compress_stream

    def transform(source: BufferedReader, target: BinaryIO, progress: Callable[[object], None]) -> None:
        # Checked for any output, since --output may name a terminal device, too.
        if target.isatty() and not force:
            raise InputError(
                "compressed data is not written to a terminal: choose a file with --output, or use --force"
            )
        # peek does not consume the header, which the codec reads next; standard input cannot seek.
        if not force and is_compressed(source.peek(HEADER_BYTES)):
            raise InputError("the file is already compressed; to compress it again, use --force")
        try:
            compress_into(source, target, progress)
        except RecordTooLongError as error:
            raise RecordTooLongError(*error.message, hint="omit --by-line") from None

    def name(file: str) -> str:
        # The model that decompression needs must not disappear into its own compressed files.
        if options.remove and Path(file).resolve().parent == find_folder(model).resolve():
            raise InputError("this file is in the model's folder, which decompression needs: omit --remove")
        return file + options.suffix

    selected, status = options.select(files, compressed=False)
    return max(status, transform_each_file(selected, transform, options, name, force=force))


def require_model(model: Path | None) -> Path:
    """Returns the model of the option or of the environment. Raises SettingsError if there is none."""
    model = model or find_default_model()
    if model is None:
        raise SettingsError("--model is missing: pass the folder of a model, or set CHARLOOM_MODEL")
    return model
