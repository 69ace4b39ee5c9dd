"""``charloom decompress``."""

import contextlib
import re
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from charloom.cli.compressed_files import FileOptions, Transform, each_file, without_suffix
from charloom.cli.options import Force, ModelOption, Word
from charloom.errors import DamagedRecordError, ModelFolderError, SettingsError
from charloom.text.sources import STANDARD_INPUT


def decompress(
    *files: Word[str],
    model: ModelOption[Path | None] = None,
    options: Annotated[FileOptions, Parameter(name="*")] = FileOptions(),
    force: Force = False,
    record: str | None = None,
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
    force
        Overwrite outputs.
    record
        Of a file made with --by-line, only this line (5) or these (5-9, 5-), counted from 1; to standard output unless
        --output says otherwise.
    """
    options.check(files)
    if model is not None and not model.is_dir():
        raise ModelFolderError(f"{model}: {'not a folder' if model.exists() else 'no such model folder'}")
    if record is not None:
        if len(files) > 1 or files[0] == STANDARD_INPUT or options.remove:
            raise SettingsError("--record reads one file, which it keeps: name that")
        transform = _writer_of_records(files[0], model, record)
        return each_file(files, transform, options, lambda _: STANDARD_INPUT, force=force)

    from charloom.codec.codec import Codec

    codec = Codec(model, threads=options.threads)

    def decompress_stream(source: BufferedReader, target: BinaryIO, progress: Callable[[object], None]) -> None:
        with _lines_counted_from_one():
            codec.decompress_stream(source, target, progress)

    return each_file(files, decompress_stream, options, without_suffix, force=force)


def _writer_of_records(file: str, model: Path | None, record: str) -> Transform:
    first, last = _range(record)

    def write(_: object, target: BinaryIO, __: object) -> None:
        from charloom.codec.records.record_file import RecordFile

        with _lines_counted_from_one(), RecordFile(file, model) as records:
            if max(first, last or 0) > len(records):
                reason = f"the file has {len(records):,} records"
                raise SettingsError(reason, setting="record", value=max(first, last or 0))
            for number in range(first - 1, last or len(records)):
                ends = number < len(records) - 1 or not records.open_end
                target.write(records[number] + (b"\n" if ends else b""))

    return write


def _range(record: str) -> tuple[int, int | None]:
    """First and last, counted from 1; None for the end."""
    found = re.fullmatch(r"([0-9]{1,18})(-([0-9]{1,18})?)?", record)
    first = int(found[1]) if found else 0
    last = None if found and found[2] == "-" else int((found and found[3]) or first)
    if first < 1 or (last is not None and last < first):
        reason = "write 5, 5-9 or 5-: lines are counted from 1, and the last cannot come before the first"
        raise SettingsError(reason, setting="record", value=record)
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
