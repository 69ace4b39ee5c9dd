"""A file of records on disk: any record, without reading the rest."""

import bisect
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, overload

from charloom.arguments import PATH, check_type
from charloom.codec.engines.opening import AnyModel, EngineChoice
from charloom.codec.format.container import END, HEADER_BYTES, MAX_VARINT, ByteReader, Header, decode_varint
from charloom.codec.format.ordered_work import OrderedWork, checked_threads, write_chunks
from charloom.codec.records.groups import (
    INDEX_DAMAGED,
    INDEX_SIZE_BYTES,
    MAX_GROUP,
    MAX_RECORDS,
    Group,
    GroupEntry,
    Index,
    decode_group,
)
from charloom.codec.records.lines import compress_records, damaged_records, decode_record
from charloom.codec.records.record_codec import RecordSessions
from charloom.errors import Argument, CompressedFileError, DamagedFileError, NotCompressedError
from charloom.io.atomic import atomic_file


class RecordFile(Sequence[bytes]):
    """The records of a file that ``RecordFile.write`` or ``charloom compress --by-line`` made.

    ``len``, ``[n]``, slices and iteration; the group of the last record read is kept. Damage to some records raises
    DamagedRecordError for those alone. One thread's. Close it, or use it in a ``with``.
    """

    def __init__(self, path: str | Path, model: AnyModel | None, *, rebuild_index: bool = False) -> None:
        """Opens the file. Raises a CompressedFileError for one that is damaged, or another model's, or cannot be read.

        rebuild_index: Find the groups by their own heads, as far as they can be followed, where the file's end is
            damaged or missing. Records may then be missing at the end.
        """
        check_type(PATH, path=path)
        try:
            self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - closed by close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", None) or error
            raise CompressedFileError(
                f"{path}: cannot be read ({reason}); give the path of a file that RecordFile.write made"
            ) from None
        self._kept: tuple[int, Group] | None = None
        try:
            self._open(EngineChoice(model), rebuild_index)
        except BaseException:
            self.close()
            raise

    def _open(self, engines: EngineChoice, rebuild_index: bool) -> None:
        header = Header.read(ByteReader(self._file))
        if not header.records:
            raise NotCompressedError("this is one compressed stream, not a file of records: decompress it whole")
        self._sessions = RecordSessions(engines.for_file(header))
        self._size = self._file.seek(0, io.SEEK_END)
        self._index = self._scanned_index() if rebuild_index else self._stored_index()
        self._starts, self._firsts = self._index.starts()

    @classmethod
    def write(
        cls,
        path: str | Path,
        records: Iterable[bytes],
        model: AnyModel,
        *,
        fast: bool = False,
        threads: int | None = None,
        force: bool = False,
    ) -> None:
        """Writes a file of records, whole or not at all. Raises InputError if it is there and not forced."""
        check_type(PATH, path=path)
        check_type(Iterable, records=records)
        check_type(bool, force=force)
        engine = EngineChoice(model, fast=fast).to_compress()
        chunks = compress_records(records, engine, OrderedWork(checked_threads(threads)))
        with atomic_file(Path(path), overwrite=force) as file:
            write_chunks(chunks, file)

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; reading from it is then a ValueError."""
        self._file.close()
        self._kept = None

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]  # IndexError as for any sequence
        place = bisect.bisect_right(self._firsts, number) - 1
        first = self._firsts[place]
        blobs, damaged = self._group(place)
        if number - first in damaged:
            raise damaged_records(first, damaged)
        return decode_record(self._sessions, blobs[number - first], number)

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def _group(self, place: int) -> Group:
        if self._kept is None or self._kept[0] != place:
            entry = self._index.groups[place]
            self._file.seek(HEADER_BYTES + self._starts[place] + entry.head_size)
            try:
                group = decode_group(self._file.read(entry.size))
                if len(group[0]) != entry.count:
                    raise ValueError
            except ValueError:
                raise damaged_records(self._firsts[place], range(entry.count)) from None
            self._kept = place, group
        return self._kept[1]

    def _stored_index(self) -> Index:
        """From the file's end."""
        try:
            self._file.seek(max(0, self._size - INDEX_SIZE_BYTES))
            length = int.from_bytes(self._file.read(INDEX_SIZE_BYTES), "little")
            start = self._size - INDEX_SIZE_BYTES - length
            if start <= HEADER_BYTES:
                raise DamagedFileError(INDEX_DAMAGED)
            self._file.seek(start - len(END))
            before, index = self._file.read(len(END)), Index.from_bytes(self._file.read(length))
            if before != END or HEADER_BYTES + index.starts()[0][-1] != start - len(END):
                raise DamagedFileError(INDEX_DAMAGED)
        except CompressedFileError as error:
            hint = (", or the file is truncated; ", Argument("rebuild_index", True), " reads what can be read")
            raise DamagedFileError(*error.parts, *hint) from None
        return index

    def _scanned_index(self) -> Index:
        """From the groups' own heads."""
        index = Index()
        place = HEADER_BYTES
        while True:
            self._file.seek(place)
            head = self._file.read(2 * MAX_VARINT)
            try:
                size, start = decode_varint(head)
                count, _ = decode_varint(head, start)
            except ValueError:
                return index
            if not 0 < size <= MAX_GROUP or not 0 < count <= MAX_RECORDS or place + start + size > self._size:
                return index
            index.groups.append(GroupEntry(size, count))
            place += start + size
