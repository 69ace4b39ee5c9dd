"""The state of a watch on logs, as a file: lines learned, messages reported, and the position in each log."""

import contextlib
import errno
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from charloom.errors import InputError, describe_os_error
from charloom.inference.watching import MAX_RECENT
from charloom.io.lock import FolderLock
from charloom.text.following import Position
from charloom_codec.io.atomic import write_atomically
from charloom_codec.io.tensor_files import parse_json, read_metadata, read_tensor_file, sort_metadata

_FORMAT = "charloom watch 1"


@dataclass(frozen=True)
class WatchState:
    """State that lets a watch continue after a restart. It does not depend on the model.

    Attributes:
        recent: The last lines, from ``LineScorer.recent``.
        reported: Highest score by message, from ``RepeatFilter.reported``.
        positions: Position by path, from ``LogReader.positions``.
        score: Name of the score of the messages; empty if it is unknown.
    """

    recent: bytes = b""
    reported: Mapping[bytes, float] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    score: str = ""

    @classmethod
    @contextlib.contextmanager
    def open_locked(cls, path: Path) -> Iterator["WatchState"]:
        """Reads a file as ``load`` does, and keeps other watches from using it until the block ends.

        Raises:
            ModelFolderError: Another watch uses the file.
            InputError: The folder cannot be written, or the file cannot be read, or is no such file.
        """
        # Not on the file itself, which each save replaces.
        lock = FolderLock(path.parent, "another watch", name=f".{path.name}.lock", file=path)
        with contextlib.ExitStack() as stack:
            stack.callback(lock.release)  # before it is taken: a signal may come between any two steps
            try:
                lock.take()
            except OSError as error:
                # The name of the file itself may be short enough.
                is_too_long = error.errno == errno.ENAMETOOLONG
                hint = "pass a shorter name: that of the lock beside it has 6 bytes more" if is_too_long else ()
                raise InputError(f"{path}: {describe_os_error(error)}", hint=hint) from None
            yield cls.load(path)

    def save(self, path: Path) -> None:
        """Replaces a file atomically. Raises OSError if it cannot be written."""
        metadata = {
            "format": _FORMAT,
            # Latin-1 maps each byte to a character.
            "reported": json.dumps({message.decode("latin-1"): score for message, score in self.reported.items()}),
            "score": self.score,
            "positions": json.dumps({path: asdict(position) for path, position in self.positions.items()}),
        }
        arrays = {"recent": np.frombuffer(self.recent, np.uint8)}
        write_atomically({path: sort_metadata(safetensors.numpy.save(arrays, metadata))})

    @classmethod
    def load(cls, path: Path) -> "WatchState":
        """Reads a file; an empty state if there is none.

        Raises:
            InputError: The file cannot be read, or is no such file.
        """
        try:
            data = read_tensor_file(path)
            metadata, recent = read_metadata(data), safetensors.numpy.load(data)["recent"]
            if metadata["format"] != _FORMAT or recent.dtype != np.uint8 or recent.size > MAX_RECENT:
                raise ValueError("another version of charloom wrote it")
            return cls(
                recent.tobytes(),
                {key.encode("latin-1"): float(score) for key, score in _parse(metadata["reported"]).items()},
                {name: Position(**fields) for name, fields in _parse(metadata["positions"]).items()},
                metadata.get("score", ""),
            )
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise InputError(f"{path}: {describe_os_error(error)}") from None
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            # Not to be deleted: it may be the log, if the arguments were confused.
            raise InputError(
                f"{path}: not a state that this version of charloom can use ({error!s:.100}): pass another file"
            ) from None


def _parse(text: str) -> dict[str, Any]:
    found = parse_json(text.encode())
    if not isinstance(found, dict):
        raise ValueError("unexpected contents")
    return found
