"""The text that a model's mixing engine has read before it codes anything.

It ships with the model, compressed, as ``priming.safetensors``: reading it gives the same tables on every machine, and
is far less than the tables would be.
"""

import hashlib
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from charloom.codec.model.bounds import Array
from charloom.errors import ModelFolderError
from charloom.io.tensor_files import metadata_of, read_tensor_file

PRIMING_FILE = "priming.safetensors"
"""Its name in a model folder."""
MAX_PRIMING = 1 << 20
"""Bytes: a few seconds of reading."""
_FORMAT_VERSION = 1
_FINGERPRINT = "fingerprint"
"""In the file's metadata, in hexadecimal."""


@dataclass(frozen=True)
class Priming:
    """What is read before anything is coded.

    Attributes:
        text: Text like what is to be compressed.
        silent: So many bytes from its start are read without the network, which was trained on them: it is surer of
            what it knows by heart than it ought to be of anything else.
    """

    text: bytes = b""
    silent: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.silent <= len(self.text) <= MAX_PRIMING:
            raise ValueError(f"{self.silent} silent bytes of a priming text of {len(self.text)}")

    @classmethod
    def of_text(cls, seen: bytes, unseen: bytes) -> "Priming":
        """Of the text that a network was trained on and what follows it, as far as there is room, the end first."""
        unseen = unseen[-MAX_PRIMING:]
        seen = seen[max(0, len(seen) - (MAX_PRIMING - len(unseen))) :]
        return cls(seen + unseen, len(seen))

    def fingerprint(self) -> bytes:
        """32 bytes that tell primings apart."""
        return hashlib.sha256(f"{self.silent}\n".encode() + self.text).digest()

    def to_file(self) -> bytes:
        """What ``from_file`` reads."""
        packed = lzma.compress(self.text, preset=9 | lzma.PRESET_EXTREME)
        arrays: dict[str, Array] = {
            "header": np.array([_FORMAT_VERSION, self.silent], np.int32),
            "text": np.frombuffer(packed, np.uint8),
        }
        return safetensors.numpy.save(arrays, {"format": "charloom priming", _FINGERPRINT: self.fingerprint().hex()})

    @classmethod
    def from_file(cls, data: bytes) -> "Priming":
        """Raises ValueError for anything but what ``to_file`` wrote."""
        try:
            arrays = safetensors.numpy.load(data)
            header, packed = arrays["header"], arrays["text"]
            if header.dtype != np.int32 or header.shape != (2,) or packed.dtype != np.uint8:
                raise ValueError("its arrays are not a priming's")
            version, silent = header.tolist()
            if version != _FORMAT_VERSION:
                raise ValueError(f"version {version}, this charloom reads {_FORMAT_VERSION}")
            decompressor = lzma.LZMADecompressor(memlimit=1 << 28)
            text = decompressor.decompress(packed.tobytes(), MAX_PRIMING + 1)
            if not decompressor.eof or decompressor.unused_data:
                raise ValueError("its text is not whole")
            found = cls(text, silent)
            if metadata_of(data)[_FINGERPRINT] != found.fingerprint().hex():
                raise ValueError("damaged: its fingerprint is another than it says")
            return found
        except (safetensors.SafetensorError, lzma.LZMAError, KeyError) as error:
            raise ValueError(str(error)) from None

    @classmethod
    def load(cls, folder: Path) -> "Priming":
        """A model's; an empty one where it has none. Raises ModelFolderError for a file that is not one."""
        file = folder / PRIMING_FILE
        try:
            return cls.from_file(read_tensor_file(file))
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise ModelFolderError(f"{file}: cannot be read ({error.strerror or error})") from None
        except (ValueError, RecursionError) as error:
            raise ModelFolderError(f"{file}: not a priming that this charloom can use ({error!s:.200})") from None
