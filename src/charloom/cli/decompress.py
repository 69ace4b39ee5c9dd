"""``charloom decompress``."""

import contextlib
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter

from charloom.cli import compressed_files
from charloom.cli.compressed_files import Counted, FileOptions
from charloom.cli.options import Flag, Force, ModelOption, OutputFile, Word
from charloom.errors import DamagedRecordError, ModelFolderError, SettingsError
from charloom.text.sources import STANDARD_INPUT

if TYPE_CHECKING:
    from charloom.cli.compressed_files import Progress
    from charloom.codec.codec import Codec


def decompress(
    *files: Word[str],
    model: ModelOption[Path | None] = None,
    output: OutputFile = None,
    keep: Annotated[Flag, Parameter(name=["--keep", "-k"])] = False,
    remove: Flag = False,
    force: Force = False,
    record: str | None = None,
    threads: int | None = None,
) -> int:
    """Decompress files that charloom compressed.

    Each FILE.loom becomes FILE beside it, with its time and permissions, once all of it was checked; FILE.loom is kept.
    To standard output each block goes when it was checked: an error may then come after good output. Where one file
    fails the others go on, and the status is 1.

    Parameters
    ----------
    files
        What to decompress; - for standard input, which goes to standard output.
    model
        The folder of the model that it was compressed with. Only files that were stored as they are need none.
    output
        Where to write; - for standard output. With one file only.
    keep
        Keep the input: the default, accepted as other compressors need it said.
    remove
        Delete each input when its output is in place.
    force
        Overwrite outputs.
    record
        Of a file made with --records, only this line (5) or these (5-9, 5-), counted from 1; to standard output unless
        --output says otherwise.
    threads
        How many at once; each takes its own memory. Default: 2, or 1 on one core.
    """
    options = FileOptions(output, remove, force)
    options.check(files)
    if keep and remove:
        raise SettingsError("--keep and --remove contradict each other: give one")
    if model is not None and not model.is_dir():
        raise ModelFolderError(f"{model}: {'not a folder' if model.exists() else 'no such model folder'}")
    if record is not None:
        if len(files) > 1 or files[0] == STANDARD_INPUT or remove:
            raise SettingsError("--record reads one file, which it keeps: name that")
        first, last = _range(record)
        wanted = FileOptions(output or STANDARD_INPUT, False, force)
        return compressed_files.each_file(files, functools.partial(_some_records, model, first, last, wanted))

    from charloom.codec.codec import Codec

    codec = Codec(model, threads=threads)
    return compressed_files.each_file(files, functools.partial(_one, codec, options))


def _one(codec: "Codec", options: FileOptions, file: str) -> None:
    target = compressed_files.output_name(file, options, compressed_files.without_suffix)

    def transform(source: BinaryIO, to: BinaryIO, progress: "Progress") -> None:
        # Nobody knows how long the original is: what is read is counted.
        codec.decompress_stream(Counted(source, progress), to)  # type: ignore[arg-type]

    with (
        compressed_files.opened(file) as (stream, status),
        compressed_files.progress_bar(file, status and status.st_size) as progress,
        _lines_counted_from_one(),
    ):
        compressed_files.write(stream, status, target, options, transform, progress)
    compressed_files.remove_input(file, options, status)


def _some_records(model: Path | None, first: int, last: int | None, options: FileOptions, file: str) -> None:
    from charloom.codec.records.record_file import RecordFile

    with (
        compressed_files.opened(file) as (stream, status),
        _lines_counted_from_one(),
        RecordFile(file, model) as records,
    ):
        if first > len(records) or (last or 0) > len(records):
            raise SettingsError(f"the file has {len(records):,} records", setting="record", value=max(first, last or 0))

        def transform(_: BinaryIO, to: BinaryIO, progress: "Progress") -> None:
            for number in range(first - 1, last or len(records)):
                to.write(records[number] + b"\n")
                progress(1)

        total = (last or len(records)) - first + 1
        with compressed_files.progress_bar(file, total) as progress:
            compressed_files.write(stream, status, options.output or STANDARD_INPUT, options, transform, progress)


def _range(record: str) -> tuple[int, int | None]:
    """First and last, counted from 1; None for the end."""
    found = re.fullmatch(r"([0-9]{1,18})(-([0-9]{1,18})?)?", record)
    if not found:
        raise SettingsError("write 5, 5-9 or 5-", setting="record", value=record)
    first = int(found[1])
    last = None if found[2] == "-" else int(found[3] or first)
    if first < 1 or (last is not None and last < first):
        raise SettingsError(
            "lines are counted from 1, and the last cannot come before the first", setting="record", value=record
        )
    return first, last


@contextlib.contextmanager
def _lines_counted_from_one() -> Iterator[None]:
    """Says of damaged records which lines they are: the library counts from 0."""
    try:
        yield
    except DamagedRecordError as error:
        lines = [f"{number + 1:,}" for number in error.records]
        shown = ", ".join(lines[:8]) + (f" and {len(lines) - 8:,} more" if len(lines) > 8 else "")
        raise DamagedRecordError(
            f"damaged: record{'s' if len(lines) > 1 else ''} {shown} (counted from 1) lost; --record reads others",
            records=error.records,
        ) from None
