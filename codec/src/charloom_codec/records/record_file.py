"""Random access to the records of a file; ``lines`` reads such a file from start to end."""

import bisect
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, overload

from charloom_codec.arguments import PATH, check_type
from charloom_codec.errors import CompressedFileError, DamagedFileError, NotCompressedError
from charloom_codec.format.container import END, HEADER_BYTES, MAX_VARINT, ByteReader, Header, decode_varint
from charloom_codec.format.opening import AnyModel, EngineChoice
from charloom_codec.format.ordered_work import OrderedWork, resolve_threads, write_chunks
from charloom_codec.io.atomic import atomic_file
from charloom_codec.io.positional_reads import read_at
from charloom_codec.records.groups import (
    INDEX_DAMAGED,
    INDEX_SIZE_BYTES,
    MAX_GROUP,
    MAX_RECORDS,
    Group,
    Index,
    decode_group,
)
from charloom_codec.records.lines import compress_records, decode_record, make_damage_error
from charloom_codec.records.record_codec import RecordSessions


class RecordFile(Sequence[bytes]):
    """Sequence of the records in a file that ``RecordFile.write`` or ``charloom compress --by-line`` wrote.

    Supports ``len``, ``[n]``, slices and iteration; the group of the last record read is cached. Reading a damaged
    record raises DamagedRecordError; the others can be read. Not thread-safe, but forked processes can share it. Close
    it, or use it as a context manager.

    Attributes:
        open_end: True if the records are the lines of a text that does not end with a line feed.
    """

    def __init__(self, path: str | Path, model: AnyModel | None, *, rebuild_index: bool = False) -> None:
        """Opens the file.

        Args:
            path: File of records.
            model: Model folder, model or engine that the file was written with.
            rebuild_index: True to find the groups by their sizes, as far as possible, for a file whose end is damaged
                or missing. The last records may then be missing.

        Raises:
            CompressedFileError: The file cannot be read, is damaged or was written with another model.
        """
        check_type(PATH, path=path)
        check_type(bool, rebuild_index=rebuild_index)
        try:
            self._file: BinaryIO = Path(path).open("rb")  # noqa: SIM115 - closed by close()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", None) or error
            raise CompressedFileError(
                f"{path}: cannot be read ({reason}): pass the path of a file of records"
            ) from None
        self._cached: tuple[int, Group] | None = None
        try:
            self._open(EngineChoice(model), rebuild_index)
        except BaseException:  # the caller has no object that it could close
            self.close()
            raise

    def _open(self, engines: EngineChoice, rebuild_index: bool) -> None:
        header = Header.read(ByteReader(self._file))
        if not header.records:
            raise NotCompressedError("the file was compressed as one stream, not by record; decompress the whole file")
        self._sessions = RecordSessions(engines.open_for_file(header))
        self._size = self._file.seek(0, io.SEEK_END)
        self._index = self._rebuild_index() if rebuild_index else self._read_index()
        self._starts, self._firsts = self._index.compute_starts()
        self.open_end = self._index.open_end

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
        """Writes a file of records atomically.

        Args:
            path: File to write.
            records: Records, of at most 16 MiB each.
            model: Model folder, model or engine to compress with.
            fast: True to compress with the network alone.
            threads: Number of threads. Default: 2, or 1 if only one core is available.
            force: True to overwrite an existing file.

        Raises:
            InputError: The file exists and ``force`` is False, or a record is too long.
        """
        check_type(PATH, path=path)
        check_type(Iterable, records=records)
        check_type(bool, force=force)
        engine = EngineChoice(model, fast=fast).open_for_compression()
        chunks = compress_records(records, engine, OrderedWork(resolve_threads(threads)))
        # A half-written file would have no index.
        with atomic_file(Path(path), overwrite=force) as file:
            write_chunks(chunks, file)

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. Later reads raise ValueError."""
        self._file.close()
        self._cached = None

    def __len__(self) -> int:
        return self._firsts[-1]

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]  # negative indices and IndexError as for any sequence
        group_number = bisect.bisect_right(self._firsts, number) - 1
        first = self._firsts[group_number]
        blobs, damaged = self._read_group(group_number)
        # Only the requested record is checked: the others of the group can still be read.
        if number - first in damaged:
            raise make_damage_error(first, damaged)
        return decode_record(self._sessions, blobs[number - first], number)

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def _read_group(self, group_number: int) -> Group:
        # Neighbors are often read together, and a group must be read as a whole for its checksums.
        if self._cached is None or self._cached[0] != group_number:
            size, count = self._index.groups[group_number]
            body = self._read(HEADER_BYTES + self._starts[group_number + 1] - size, size)
            try:
                group = decode_group(body)
                if len(group[0]) != count:
                    raise ValueError
            except ValueError:
                raise make_damage_error(self._firsts[group_number], range(count)) from None
            self._cached = group_number, group
        return self._cached[1]

    def _read(self, position: int, size: int) -> bytes:
        """Returns ``size`` bytes at a position of the file, or less at its end."""
        return read_at(self._file.fileno(), size, position)

    def _read_index(self) -> Index:
        """Returns the index at the end of the file. Raises DamagedFileError."""
        try:
            length = int.from_bytes(self._read(max(0, self._size - INDEX_SIZE_BYTES), INDEX_SIZE_BYTES), "little")
            start = self._size - INDEX_SIZE_BYTES - length
            if start <= HEADER_BYTES:
                raise DamagedFileError(INDEX_DAMAGED)
            # The groups must end exactly at the start of the index.
            before, index = self._read(start - len(END), len(END)), Index.from_bytes(self._read(start, length))
            if before != END or HEADER_BYTES + index.compute_starts()[0][-1] != start - len(END):
                raise DamagedFileError(INDEX_DAMAGED)
        except CompressedFileError as error:
            hint = "to read the intact records, use charloom.RecordFile with rebuild_index=True"
            raise DamagedFileError(*error.parts, ", or the file is truncated", hint=hint) from None
        return index

    def _rebuild_index(self) -> Index:
        """Returns an index of the groups, found by the sizes that precede them."""
        index = Index()
        position = HEADER_BYTES
        while True:
            head = self._read(position, 2 * MAX_VARINT)
            try:
                size, start = decode_varint(head)
                count, _ = decode_varint(head, start)
            except ValueError:
                return index
            # The first impossible group is the end: nothing marks the start of the next one.
            if not 0 < size <= MAX_GROUP or not 0 < count <= MAX_RECORDS or position + start + size > self._size:
                return index
            index.groups.append((size, count))
            position += start + size
