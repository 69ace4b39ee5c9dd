"""Decompression of ``.gz``, ``.xz`` and ``.zst`` files in chunks, in bounded memory."""

import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from charloom.errors import CorpusError

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

_CHUNK = 1 << 20
"""Maximum number of bytes per decompressed chunk: a small file may contain a very large text."""
_MAX_DICTIONARY = 1 << 28
"""Maximum memory in bytes that a file may require: four times that of ``xz -9``, more than ``zstd --ultra``."""
_TOO_MUCH_MEMORY = re.compile("[Mm]emory")
_PIPE_COMMANDS = {".xz": "xz -dc", ".zst": "zstd -dc --long=31"}


class _Gzip:
    """zlib's decompressor with the interface of lzma's and zstd's, which hold input that is not yet decompressed."""

    def __init__(self) -> None:
        # 31: the gzip format (16) with the largest window (15).
        self._stream = zlib.decompressobj(wbits=31)
        self.needs_input, self.eof, self.unused_data = True, False, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        # zlib returns the input that it has not used, and the caller has to pass it again.
        out = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.eof, self.unused_data = self._stream.eof, self._stream.unused_data
        # Full output may mean that more is waiting in zlib's internal buffer, even without unconsumed input.
        self.needs_input = not self._stream.unconsumed_tail and len(out) < max_length
        return out


_Decompressor: TypeAlias = _Gzip | lzma.LZMADecompressor | ZstdDecompressor
_KINDS: dict[str, Callable[[], _Decompressor]] = {
    ".gz": _Gzip,
    ".xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_DICTIONARY),
    ".zst": lambda: ZstdDecompressor(options={DecompressionParameter.window_log_max: _MAX_DICTIONARY.bit_length() - 1}),
}


def detect_compression(name: str) -> str | None:
    """Returns the suffix that identifies a file's compression, or None if its name has no such suffix."""
    return next((kind for kind in _KINDS if name.lower().endswith(kind)), None)


def decompress(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yields the content of a file, decompressed if its name has the suffix of a compressed file.

    Concatenated streams in one file are one text.

    Args:
        chunks: Content of the file as stored.
        name: Name of the file, for its suffix and for messages.

    Raises CorpusError for compressed data that is damaged or truncated.
    """
    if (kind := detect_compression(name)) is None:
        yield from chunks
        return
    try:
        yield from _streams(chunks, _KINDS[kind])
    except EOFError:
        raise CorpusError(f"{name}: truncated: the file ends in the middle of its compressed data") from None
    except (zlib.error, lzma.LZMAError, ZstdError) as error:
        # lzma and zstd have no error class of their own for the memory limit: only the message differs.
        if kind in _PIPE_COMMANDS and _TOO_MUCH_MEMORY.search(str(error)):
            raise CorpusError(
                f"{name}: decompressing it needs more than the allowed {_MAX_DICTIONARY >> 20} MiB of memory: "
                f"decompress it yourself and pass - as the file: {_PIPE_COMMANDS[kind]} {name} | charloom ... -"
            ) from None
        # A message is one line without a final period.
        reason = " ".join(str(error).split()).rstrip(".")
        raise CorpusError(
            f"{name}: damaged, or not in the format that its suffix indicates ({reason}); rename the file to read it "
            "without decompression"
        ) from None


def _streams(chunks: Iterable[bytes], make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Yields the decompressed data of consecutive streams. Raises EOFError if the last stream is truncated."""
    stream, started = None, False
    for chunk in chunks:
        data = chunk
        while True:
            if stream is None:
                # Zeros may follow a stream: gzip files are padded to a tape's block, xz files to four bytes.
                data = data.lstrip(b"\0") if started else data
                if not data:
                    break
                stream, started = make(), True
            if out := stream.decompress(data, _CHUNK):
                yield out
            # The decompressor holds the input that it has not used: an empty call continues with it.
            data = b""
            if stream.eof:
                data, stream = stream.unused_data, None
            elif stream.needs_input:
                break
    # An empty file has no stream, which is a truncation too.
    if stream is not None or not started:
        raise EOFError
