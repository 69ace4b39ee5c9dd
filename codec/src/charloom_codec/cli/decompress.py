"""``charloom decompress``."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from charloom_codec.cli.compressed_files import Transform, transform_each_file
from charloom_codec.cli.file_listing import list_files
from charloom_codec.cli.file_options import FileOptions, find_default_model
from charloom_codec.cli.options import Force, ModelOption, Word
from charloom_codec.errors import (
    CompressedFileError,
    DamagedFileError,
    DamagedRecordError,
    ModelFolderError,
    NotCompressedError,
    SettingsError,
    pluralize,
)
from charloom_codec.io.hub import is_hub_name
from charloom_codec.io.standard_streams import STANDARD_INPUT
from charloom_codec.named_models.finding import find_folder


def decompress(
    *files: Word[str],
    model: ModelOption[Path | None] = None,
    options: Annotated[FileOptions, Parameter(name="*")] = FileOptions(),
    force: Force = False,
    record: str | None = None,
) -> int:
    """Decompress files that 'charloom compress' compressed.

    FILE.loom is decompressed to FILE, with the same modification time and permissions; FILE appears only after the
    whole file has been verified, and FILE.loom is kept. On standard output, each block is written as soon as it has
    been verified, so an error may follow correct output. Compressed files that were joined are decompressed to their
    joined originals. If a file cannot be decompressed, the others still are, and the exit status is nonzero.

    Parameters
    ----------
    files
        Files to decompress; - or none reads standard input and writes to standard output.
    model
        Folder of the model that compressed the files, or name of a model of the package or on the Hub (hf:USER/NAME).
        Default: the environment variable CHARLOOM_MODEL. Files that were compressed with a model of the package, or
        stored uncompressed, need no other.
    force
        Overwrite existing output files.
    record
        Decompress only these lines of a file compressed with --by-line, such as 5, 5-9 or 5- (to the end). Lines are
        numbered from 1. They are written to standard output by default.
    """
    options.check(files)
    if record is None:
        return decompress_files(files, model, options, force=force)
    if files == (STANDARD_INPUT,) or not files:
        raise SettingsError("--record cannot read standard input: pass a file")
    if len(files) > 1 or options.remove or options.test or options.list_files or options.recursive:
        raise SettingsError(
            "--record reads one file and keeps it: pass a single file, and omit --remove, --recursive, --test and "
            "--list"
        )
    options.apply()
    # Records are written to standard output by default: FILE with only a part of its lines would be misleading.
    transform = _make_record_reader(files[0], _check_folder(model), record)
    return transform_each_file(files, transform, options, lambda _: STANDARD_INPUT, force=force)


def decompress_files(files: Sequence[str], model: Path | None, options: FileOptions, *, force: bool) -> int:
    """Decompresses, tests or lists files, as the options state; returns the exit status."""
    options.apply()
    selected, status = options.select(files, compressed=True)
    if options.list_files:
        return max(status, list_files(selected, verbose=options.verbose))

    from charloom_codec.codec import Codec

    # One codec for all files, so that the model is loaded once.
    codec = Codec(_check_folder(model), threads=options.num_threads)

    def decompress_stream(source: BufferedReader, target: BinaryIO, progress: Callable[[object], None]) -> None:
        with _count_lines_from_one():
            codec.decompress_stream(source, target, progress)

    def name(file: str) -> str:
        if (original := options.remove_suffix(file)) is None:
            raise CompressedFileError(
                f"the file name does not end in {options.suffix}: choose the output file with --output, or the suffix "
                "with --suffix"
            )
        return original

    if options.test:
        options = replace(options, output=os.devnull)
    return max(status, transform_each_file(selected, decompress_stream, options, name, force=force))


def _check_folder(model: Path | None) -> Path | None:
    """Returns the folder of a model, by default that of the environment. Raises ModelFolderError if there is none."""
    if model is None:
        model = find_default_model()
        # A default that is no longer there is an error only if a file needs it, as is one that cannot be downloaded.
        return model if model is not None and (is_hub_name(model) or find_folder(model).is_dir()) else None
    # Checked here because the codec reads the model only when a file needs it.
    if not find_folder(model).is_dir():
        problem = "not a folder" if model.exists() else "no such model folder"
        raise ModelFolderError(f"{model}: {problem}; pass an existing one with --model")
    return model


def _make_record_reader(file: str, model: Path | None, record: str) -> Transform:
    """Returns a function that writes the lines of a range to a target."""
    first, last = _parse_range(record)

    # The stream is used for the header only: RecordFile opens the file itself, to seek to the records.
    def write(source: BufferedReader, target: BinaryIO, _: object) -> None:
        from charloom_codec.format.container import ByteReader, Header
        from charloom_codec.listing import list_members
        from charloom_codec.records.record_file import RecordFile

        if not Header.read(ByteReader(source)).records:
            raise NotCompressedError("the file was compressed as one stream, not by line; omit --record")
        try:
            opened = RecordFile(file, model)
        except DamagedFileError:
            with Path(file).open("rb") as stream:
                is_joined = len(list(list_members(stream))) > 1
            if is_joined:
                raise NotCompressedError("the file consists of several that were joined; omit --record") from None
            raise
        with _count_lines_from_one(), opened as records:
            # Checked before the first record is written, so that a wrong range produces no output.
            if max(first, last or 0) > len(records):
                raise SettingsError(
                    f"the file has only {pluralize(len(records), 'line')}", setting="record", value=record
                )
            for number in range(first - 1, last or len(records)):
                # The last line of the original may have no line feed; then the output has none either.
                has_line_end = number < len(records) - 1 or not records.open_end
                target.write(records[number] + (b"\n" if has_line_end else b""))

    return write


def _parse_range(record: str) -> tuple[int, int | None]:
    """Returns the first and the last line of a range, counted from 1; None for the end of the file."""
    # 18 digits fit 64 bits, and Python refuses to parse an int of thousands of digits.
    found = re.fullmatch(r"([0-9]{1,18})(-([0-9]{1,18})?)?", record)
    first = int(found[1]) if found else 0
    last = None if found and found[2] == "-" else int((found and found[3]) or first)
    if first < 1 or (last is not None and last < first):
        reason = "it must be a line number or an ascending range, such as 5, 5-9 or 5-; lines are numbered from 1"
        raise SettingsError(reason, setting="record", value=record)
    return first, last


@contextlib.contextmanager
def _count_lines_from_one() -> Iterator[None]:
    """Converts the record numbers of an error, which the library counts from 0, to line numbers from 1."""
    try:
        yield
    except DamagedRecordError as error:
        lines = [f"{number + 1:,}" for number in error.records]
        if error.lost == "rest":
            raise DamagedRecordError(
                *error.message, hint=f"the lines from {lines[0]} on are lost", records=error.records, lost="rest"
            ) from None
        if error.lost == "group":
            raise DamagedRecordError(
                f"damaged: the group of records that starts with record {lines[0]} (counted from 1) is lost",
                hint="--record may still read records of other groups",
                records=error.records,
                lost="group",
            ) from None
        # A damaged block may contain many records; the message must fit one line.
        shown = ", ".join(lines[:8]) + (f" and {len(lines) - 8:,} more" if len(lines) > 8 else "")
        plural, verb = ("s", "are") if len(lines) > 1 else ("", "is")
        raise DamagedRecordError(
            f"damaged: record{plural} {shown} (counted from 1) {verb} lost",
            hint="--record reads undamaged records",
            records=error.records,
        ) from None
