"""Many small messages, each compressed so that it can be decoded alone."""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from zlib import crc32

from charloom.arguments import check_bytes, check_type
from charloom.codec.engines.engine import MAX_CODED_RECORD, Engine, RecordSession
from charloom.codec.engines.opening import AnyModel, EngineChoice
from charloom.codec.format.container import FINGERPRINT_BYTES
from charloom.codec.format.ordered_work import OrderedWork, checked_threads
from charloom.errors import DamagedRecordError

MAX_RECORD = 1 << 24
"""Bytes of a record in a file of records."""
_ESCAPED = b"\xfe"
"""First byte: the payload follows, and begins with this byte or the next."""
_STORED = b"\xff"
"""First byte: the record itself follows."""
_BATCH = 256


class RecordCodec:
    """Compresses records (log lines, chat messages, small JSON) one by one; each is decoded without the others.

    A record's bytes are the engine's payload and, at most, one byte more; nothing in them names the model or says that
    they are undamaged unless ``check`` is on: keep ``fingerprint`` beside them, or use a RecordFile, which has
    checksums and an index. Safe to use from several threads.

    Attributes:
        fingerprint: 32 bytes that name what these records can be decoded with.
        check: Whether each has a check byte, which finds 255 of 256 damages and wrong models.
        threads: How many work on a batch.
    """

    def __init__(self, model: AnyModel, *, fast: bool = False, check: bool = False, threads: int | None = None) -> None:
        """From a model's folder or a model; ``fast`` as for Codec. Both ends must agree on ``fast`` and ``check``."""
        self.threads = checked_threads(threads)
        self.check = check
        engine = EngineChoice(model, fast=fast).to_compress()
        self.fingerprint = engine.fingerprint
        self._sessions = RecordSessions(engine)

    def encode(self, record: bytes) -> bytes:
        """The record compressed; one byte longer than the record at most, or two with ``check``."""
        check_bytes(record=record)
        record = bytes(record)
        blob = self._sessions.encode(record)
        return blob + self._check_byte(record) if self.check else blob

    def decode(self, blob: bytes) -> bytes:
        """Returns the bytes that ``encode`` was given. Raises DamagedRecordError if damage of the blob is detected."""
        check_bytes(blob=blob)
        blob = bytes(blob)
        if not self.check:
            return self._sessions.decode(blob)
        record = self._sessions.decode(blob[:-1])
        if self._check_byte(record) != blob[-1:]:
            raise DamagedRecordError("damaged: the record's check byte differs, or it was made with another model")
        return record

    def encode_batch(self, records: Sequence[bytes]) -> list[bytes]:
        """Each record as by ``encode``, several at a time."""
        return self._batch(self.encode, records)

    def decode_batch(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Each record as by ``decode``. Raises DamagedRecordError with the number of the first that is damaged."""
        return self._batch(self.decode, blobs)

    def _batch(self, function: Callable[[bytes], bytes], items: Sequence[bytes]) -> list[bytes]:
        check_type(Sequence, records=items)

        def some(start: int) -> list[bytes]:
            results = []
            for number, item in enumerate(items[start : start + _BATCH], start):
                try:
                    results.append(function(item))
                except DamagedRecordError as error:
                    raise DamagedRecordError(
                        f"record {number} (counted from 0): ", *error.parts, records=(number,)
                    ) from None
            return results

        tasks = (functools.partial(some, start) for start in range(0, len(items), _BATCH))
        threads = self.threads if len(items) > _BATCH else 1
        return [result for results in OrderedWork(threads).results(tasks) for result in results]

    def _check_byte(self, record: bytes) -> bytes:
        return bytes([crc32(record, crc32(self.fingerprint[:FINGERPRINT_BYTES])) & 0xFF])


class RecordSessions:
    """An engine's sessions for records, as many as threads use at once, and the escape for what does not shrink."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[RecordSession] = []
        self._lock = threading.Lock()

    def encode(self, record: bytes) -> bytes:
        """The record's bytes; at most one more than the record's own."""
        if len(record) <= MAX_CODED_RECORD:
            with self._session() as session:
                payload = session.encode(record)
            blob = _ESCAPED + payload if payload[:1] >= _ESCAPED else payload
            if len(blob) <= len(record) <= _longest_record_of(payload):
                return blob
        return _STORED + record

    def decode(self, blob: bytes, limit: int = MAX_CODED_RECORD) -> bytes:
        """The record, of at most ``limit`` bytes if it is coded. Raises DamagedRecordError."""
        if blob.startswith(_STORED):
            return blob[1:]
        payload = blob.removeprefix(_ESCAPED)
        if len(payload) < len(blob) and payload[:1] < _ESCAPED:
            raise DamagedRecordError("damaged: the record's first byte is not needed")
        try:
            with self._session() as session:
                return session.decode(payload, min(limit, _longest_record_of(payload)))
        except ValueError:
            raise DamagedRecordError("damaged: the record cannot be decoded") from None

    @contextmanager
    def _session(self) -> Iterator[RecordSession]:
        """One that no other thread uses. One that failed is not used again."""
        with self._lock:
            session = self._idle.pop() if self._idle else self._engine.records()
        yield session
        with self._lock:
            self._idle.append(session)


def _longest_record_of(payload: bytes) -> int:
    """Bytes of the longest record that a payload may stand for: a few damaged bytes must not turn into a MiB."""
    return min(MAX_CODED_RECORD, 4096 + 256 * len(payload))
