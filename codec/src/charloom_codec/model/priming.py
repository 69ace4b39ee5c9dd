"""Priming: the text that a mixing engine reads before it codes anything, so that its tables are not empty.

The text is part of the model folder, compressed, as ``priming.safetensors``. Reading it yields the same tables on every
machine, and it is far smaller than the tables.
"""

import hashlib
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from charloom_codec.errors import ModelFolderError, pluralize
from charloom_codec.io.tensor_files import read_metadata, read_tensor_file, sort_metadata
from charloom_codec.model.bounds import Array

PRIMING_FILE = "priming.safetensors"
"""Name of the priming's file in a model folder."""
MAX_PRIMING = 1 << 20
"""Maximum bytes of a priming text, which takes a few seconds to read."""
_FORMAT_VERSION = 1
_FINGERPRINT = "fingerprint"
"""Key of the file's metadata: the fingerprint of the priming, in hexadecimal."""


@dataclass(frozen=True)
class Priming:
    """Text that a mixing engine reads before it codes anything.

    Attributes:
        text: Text that resembles the data to compress.
        bytes_without_network: Number of bytes from the start that are read without the network, because the network was
            trained on them. On text that it has memorized, its predictions are more confident than on other text.
    """

    text: bytes = b""
    bytes_without_network: int = 0

    def __post_init__(self) -> None:
        if len(self.text) > MAX_PRIMING:
            raise ValueError(f"the priming text is {len(self.text)} bytes long: at most {MAX_PRIMING} are allowed")
        if self.bytes_without_network < 0:
            raise ValueError(f"bytes_without_network is {self.bytes_without_network}: it must not be negative")
        if self.bytes_without_network > len(self.text):
            raise ValueError(
                f"bytes_without_network is {self.bytes_without_network}, more than the "
                f"{pluralize(len(self.text), 'byte')} of the priming text"
            )

    @classmethod
    def from_texts(cls, seen: bytes, held_out: bytes) -> "Priming":
        """Returns the priming of ``seen + held_out``, of which the last MAX_PRIMING bytes are kept.

        Args:
            seen: Text that the network was trained on; it is read silently.
            held_out: Text that the network was not trained on.
        """
        # The end of each text is kept, because it is the latest; held-out text takes precedence over seen text.
        held_out = held_out[-MAX_PRIMING:]
        seen = seen[max(0, len(seen) - (MAX_PRIMING - len(held_out))) :]
        return cls(seen + held_out, len(seen))

    def compute_fingerprint(self) -> bytes:
        """Returns the SHA-256, 32 bytes, of the number of silent bytes and the text."""
        return hashlib.sha256(f"{self.bytes_without_network}\n".encode() + self.text).digest()

    def to_bytes(self) -> bytes:
        """Returns the contents of a file that ``from_bytes`` reads."""
        # The best preset: the text is written once and shipped with the model.
        packed = lzma.compress(self.text, preset=9 | lzma.PRESET_EXTREME)
        arrays: dict[str, Array] = {
            "header": np.array([_FORMAT_VERSION, self.bytes_without_network], np.int32),
            "text": np.frombuffer(packed, np.uint8),
        }
        metadata = {"format": "charloom priming", _FINGERPRINT: self.compute_fingerprint().hex()}
        return sort_metadata(safetensors.numpy.save(arrays, metadata))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Priming":
        """Returns the priming in a file's contents. Raises ValueError if ``to_bytes`` did not write them."""
        try:
            arrays = safetensors.numpy.load(data)
            header, packed = arrays["header"], arrays["text"]
            if header.dtype != np.int32 or header.shape != (2,) or packed.dtype != np.uint8:
                raise ValueError("its arrays do not have the types or shapes of a priming file")
            version, bytes_without_network = header.tolist()
            # Before the text is decompressed, whose format another version may have changed.
            if version != _FORMAT_VERSION:
                raise ValueError(
                    f"it has format version {version}, but this version of charloom reads format version "
                    f"{_FORMAT_VERSION}"
                )
            # A hostile file must neither exhaust memory (the limit) nor expand without end (the length below).
            decompressor = lzma.LZMADecompressor(memlimit=1 << 28)
            text = decompressor.decompress(packed.tobytes(), MAX_PRIMING + 1)
            if not decompressor.eof or decompressor.unused_data:
                raise ValueError("its text is truncated or too long")
            found = cls(text, bytes_without_network)
            if read_metadata(data)[_FINGERPRINT] != found.compute_fingerprint().hex():
                raise ValueError("damaged: its fingerprint does not match")
            return found
        except (safetensors.SafetensorError, lzma.LZMAError, KeyError) as error:
            raise ValueError(str(error)) from None

    @classmethod
    def load(cls, folder: Path) -> "Priming":
        """Returns the priming of a model folder, empty if it has none. Raises ModelFolderError for any other file."""
        file = folder / PRIMING_FILE
        try:
            return cls.from_bytes(read_tensor_file(file))
        except FileNotFoundError:
            return cls()  # valid: the caller compares the fingerprint with that in the integer model
        except OSError as error:
            raise ModelFolderError(f"{file}: cannot be read ({error.strerror or error})") from None
        except (ValueError, RecursionError) as error:
            raise ModelFolderError(
                f"{file}: not a priming file that this version of charloom can use ({error!s:.200})"
            ) from None
