"""Compression of many small messages, each decoded without the others; ``record_file`` keeps them in a file."""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import NoneType
from typing import TypeVar
from zlib import crc32

import numpy as np

from charloom_codec.arguments import check_bytes, check_type
from charloom_codec.engines.engine import MAX_CODED_RECORD, CodingCosts, Engine, RecordSession
from charloom_codec.errors import DamagedRecordError
from charloom_codec.format.container import FINGERPRINT_BYTES, Header
from charloom_codec.format.opening import AnyModel, EngineChoice
from charloom_codec.format.ordered_work import OrderedWork, Progress, resolve_threads

Result = TypeVar("Result")

MAX_RECORD = 1 << 24
"""Bytes of the longest record in a file of records."""
_ESCAPED = b"\xfe"
"""First byte of a blob whose payload, which follows, starts with 0xfe or 0xff."""
_STORED = b"\xff"
"""First byte of a blob that contains the record itself."""
_BATCH = 256


class RecordCodec:
    """Compressor of records (log lines, chat messages, small JSON) that are decoded independently of each other.

    A blob is the engine's payload or the record itself, with at most one byte more, or two with ``check``. It does not
    identify the model, and damage is not detected unless ``check`` is True: store ``fingerprint`` with the blobs, or
    use a RecordFile, which has checksums and an index. Safe to use from several threads.

    Attributes:
        fingerprint: Hash, 32 bytes, of everything that decoding depends on.
        check: True if each blob has a check byte, which detects damage or a wrong model with a probability of 255/256.
        threads: Number of threads for a batch.
    """

    def __init__(
        self,
        model: AnyModel,
        *,
        fast: bool = False,
        check: bool = False,
        threads: int | None = None,
        fingerprint: bytes | None = None,
    ) -> None:
        """Initializes the codec. Encoder and decoder must have the same model, ``fast`` and ``check``.

        Args:
            model: Model folder, model or engine.
            fast: True to code with the network alone; ignored if the model is an engine.
            check: True to add a check byte to each record.
            threads: Number of threads for a batch. Default: 2, or 1 if only one core is available.
            fingerprint: Fingerprint of the codec that encoded the blobs to decode. It selects the version of the
                engine, if an earlier version of charloom encoded them, and detects a wrong model.

        Raises:
            WrongModelError: No version of the model's engine has this fingerprint.
        """
        check_type(bool, check=check)
        self.threads = resolve_threads(threads)
        self.check = check
        engines = EngineChoice(model, fast=fast)
        if fingerprint is None:
            engine = engines.open_for_compression()
        else:
            check_bytes(fingerprint=fingerprint)
            engine = engines.open_for_file(Header(engines.mode, bytes(fingerprint)[:FINGERPRINT_BYTES]))
        self.fingerprint = engine.fingerprint
        self._sessions = RecordSessions(engine)

    def encode(self, record: bytes) -> bytes:
        """Returns the compressed record, at most one byte longer than the record, or two with ``check``."""
        check_bytes(record=record)
        record = bytes(record)  # any buffer is accepted
        blob = self._sessions.encode(record)
        return blob + self._compute_check_byte(record) if self.check else blob

    def decode(self, blob: bytes) -> bytes:
        """Returns the bytes that were passed to ``encode``. Raises DamagedRecordError if damage is detected."""
        check_bytes(blob=blob)
        blob = bytes(blob)
        # An empty blob with `check` has no check byte, which the comparison below detects.
        if not self.check:
            return self._sessions.decode(blob)
        record = self._sessions.decode(blob[:-1])
        if self._compute_check_byte(record) != blob[-1:]:
            raise DamagedRecordError(
                "damaged, or compressed with another model: the record's check byte does not match"
            )
        return record

    def encode_batch(self, records: Sequence[bytes]) -> list[bytes]:
        """Returns the blob of each record, as ``encode`` does. Codes more than 256 records on several threads."""
        return self._process_batch(self.encode, records)

    def decode_batch(self, blobs: Sequence[bytes]) -> list[bytes]:
        """Returns the record of each blob, as ``decode`` does. Decodes more than 256 blobs on several threads.

        Raises DamagedRecordError, whose ``records`` has the index of the first damaged blob.
        """
        return self._process_batch(self.decode, blobs)

    def measure_batch(self, records: Sequence[bytes], progress: Progress | None = None) -> list[CodingCosts]:
        """Returns the costs of each byte of each record, and then of the record's end.

        The sum of the bits is the size of the blob to within two bytes, unless ``encode`` stores the record: then it is
        the size that coding would give. Records of more than 1 MiB, which are never coded, take 8 bits for each byte.

        Args:
            records: The records. More than 256 are measured on several threads.
            progress: Callback for the number of bytes that were measured since the last call; any thread may call it.
        """
        check_type((Callable, NoneType), progress=progress)

        def measure(record: bytes) -> CodingCosts:
            check_bytes(record=record)
            return self._sessions.measure(bytes(record))

        return self._process_batch(measure, records, progress)

    def _process_batch(
        self, function: Callable[[bytes], Result], items: Sequence[bytes], progress: Progress | None = None
    ) -> list[Result]:
        check_type(Sequence, records=items)
        # Starting threads takes longer than a small batch.
        work = OrderedWork(self.threads if len(items) > _BATCH else 1, progress)

        def process(start: int) -> list[Result]:
            results = []
            batch = items[start : start + _BATCH]
            for number, item in enumerate(batch, start):
                try:
                    results.append(function(item))
                except DamagedRecordError as error:
                    raise DamagedRecordError(
                        f"record {number} (counted from 0): ", *error.parts, records=(number,)
                    ) from None
            work.add_progress(sum(map(len, batch)))
            return results

        tasks = (functools.partial(process, start) for start in range(0, len(items), _BATCH))
        return [result for results in work.run_in_order(tasks) for result in results]

    def _compute_check_byte(self, record: bytes) -> bytes:
        # The fingerprint comes first, so that a wrong model is detected too.
        return bytes([crc32(record, crc32(self.fingerprint[:FINGERPRINT_BYTES])) & 0xFF])


class RecordSessions:
    """Pool of an engine's sessions for records, with the escape for records that cannot be compressed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[RecordSession] = []
        self._lock = threading.Lock()

    def encode(self, record: bytes) -> bytes:
        """Returns the blob of a record, at most one byte longer than the record."""
        # Longer records are stored, which bounds the memory of a session's lane (the buffer of one text).
        if len(record) <= MAX_CODED_RECORD:
            with self._borrow_session() as session:
                payload = session.encode(record)
            blob = _ESCAPED + payload if payload[:1] >= _ESCAPED else payload
            # The decoder accepts no longer record of this payload.
            if len(blob) <= len(record) <= _compute_max_length(payload):
                return blob
        return _STORED + record

    def measure(self, record: bytes) -> CodingCosts:
        """Returns the costs of each byte of a record, and of its end."""
        if len(record) > MAX_CODED_RECORD:
            return CodingCosts(*np.full((2, len(record) + 1), 8, np.float32))
        with self._borrow_session() as session:
            return CodingCosts.from_bytes(session.measure(record))

    def decode(self, blob: bytes, limit: int = MAX_CODED_RECORD) -> bytes:
        """Returns the record of a blob, of at most ``limit`` bytes if it is coded. Raises DamagedRecordError."""
        if blob.startswith(_STORED):
            return blob[1:]
        payload = blob.removeprefix(_ESCAPED)
        if len(payload) < len(blob) and payload[:1] < _ESCAPED:
            # Each record has exactly one encoding.
            raise DamagedRecordError("damaged: the record has an unnecessary escape byte")
        try:
            with self._borrow_session() as session:
                return session.decode(payload, min(limit, _compute_max_length(payload)))
        except ValueError:
            raise DamagedRecordError("damaged: the record cannot be decoded") from None

    @contextmanager
    def _borrow_session(self) -> Iterator[RecordSession]:
        """Lends a session that no other thread uses."""
        with self._lock:
            session = self._idle.pop() if self._idle else self._engine.start_record_session()
        yield session
        # Not in a finally clause: a session that failed may be in any state, and is not reused.
        with self._lock:
            self._idle.append(session)


def _compute_max_length(payload: bytes) -> int:
    """Returns the length of the longest record that is accepted for a payload."""
    # A few damaged bytes must not decode to a MiB.
    return min(MAX_CODED_RECORD, 4096 + 256 * len(payload))
