"""Compressed files as texts: ``.gz``, ``.xz`` and ``.zst`` are read through, chunk by chunk, in bounded memory."""

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
"""Bytes that are decompressed at once: a small file may hold a very large text."""
_MAX_DICTIONARY = 1 << 28
"""Bytes of memory that a file may ask for: four times what ``xz -9`` does, more than ``zstd --ultra``."""
_TOO_MUCH_MEMORY = re.compile("[Mm]emory")
_BY_HAND = {".xz": "xz -dc", ".zst": "zstd -dc --long=31"}


class _Gzip:
    """zlib's, which keeps what it could not read yet to itself, as the others do."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self.needs_input, self.eof, self.unused_data = True, False, b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.eof, self.unused_data = self._stream.eof, self._stream.unused_data
        self.needs_input = not self._stream.unconsumed_tail and len(out) < max_length
        return out


_Decompressor: TypeAlias = _Gzip | lzma.LZMADecompressor | ZstdDecompressor
_KINDS: dict[str, Callable[[], _Decompressor]] = {
    ".gz": _Gzip,
    ".xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_DICTIONARY),
    ".zst": lambda: ZstdDecompressor(options={DecompressionParameter.window_log_max: _MAX_DICTIONARY.bit_length() - 1}),
}


def compression_of(name: str) -> str | None:
    """Returns the suffix that identifies a file's compression, or None if its name has no such suffix."""
    return next((kind for kind in _KINDS if name.lower().endswith(kind)), None)


def decompressed(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The content of a file, given in chunks, by the end of its name; that of any other name as it stands.

    Several streams in one file are one text. Raises CorpusError for compressed data that is damaged or not whole.
    """
    if (kind := compression_of(name)) is None:
        yield from chunks
        return
    try:
        yield from _streams(chunks, _KINDS[kind])
    except EOFError:
        raise CorpusError(f"{name}: not whole: it ends in the middle of its compressed data") from None
    except (zlib.error, lzma.LZMAError, ZstdError) as error:
        if kind in _BY_HAND and _TOO_MUCH_MEMORY.search(str(error)):
            raise CorpusError(
                f"{name}: it takes more memory to decompress than is given to it ({_MAX_DICTIONARY >> 20} MiB): "
                f"pipe it in instead, as with {_BY_HAND[kind]} {name} | charloom train -"
            ) from None
        reason = " ".join(str(error).split()).rstrip(".")
        raise CorpusError(
            f"{name}: damaged, or not compressed in the format of its name ({reason}); rename it to read it as it is"
        ) from None


def _streams(chunks: Iterable[bytes], make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Raises EOFError where the data ends before a stream does."""
    stream, begun = None, False
    for chunk in chunks:
        data = chunk
        while True:
            if stream is None:
                # Between streams there may be zeros, to fill up a tape's block or the last four bytes.
                data = data.lstrip(b"\0") if begun else data
                if not data:
                    break
                stream, begun = make(), True
            if out := stream.decompress(data, _CHUNK):
                yield out
            data = b""
            if stream.eof:
                data, stream = stream.unused_data, None
            elif stream.needs_input:
                break
    if stream is not None or not begun:
        raise EOFError
