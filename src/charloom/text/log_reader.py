"""Lines of several logs as they are written: files that grow, and standard input."""

import contextlib
import os
import select
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from charloom.errors import CharloomWarning, CorpusError, InputError, describe_os_error
from charloom.text.following import FollowedFile, LineSplitter, Position
from charloom_codec.io.standard_streams import STANDARD_INPUT

_POLL_SECONDS = 0.2
_CHUNK = 1 << 18


def absolute_path(path: str) -> str:
    """Returns the absolute path, without . and .. but with its links: the target of a link to a log may change."""
    return os.path.normpath(Path(path).absolute())


class LogReader(contextlib.AbstractContextManager["LogReader"]):
    """Reads the lines of logs in turn, as soon as they are complete."""

    def __init__(
        self,
        sources: Sequence[str],
        *,
        follow: bool = True,
        from_start: bool = False,
        positions: Mapping[str, Position] | None = None,
        leave_incomplete: bool = False,
    ) -> None:
        """Opens the files.

        Args:
            sources: Paths of files; - for standard input.
            follow: Wait for more lines at the end of the files, and for files that do not exist yet. Otherwise, the
                files are read from their starts to their ends.
            from_start: Read the lines that the files have already; otherwise only new ones.
            positions: Positions by path at which reading continues; a warning names files that are gone.
            leave_incomplete: Do not read a line that is incomplete at the end of a file: another reader continues
                before it.

        Raises:
            CorpusError: A file does not exist, and is not followed.
            InputError: A path is not a regular file, or cannot be read.
        """
        self._follow = follow
        self._leave_incomplete = leave_incomplete
        self._ended: dict[str, Position] = {}
        # A file that is named twice, as a.log and ./a.log, is read once.
        files: dict[str, str] = {}
        for source in sources:
            if source != STANDARD_INPUT:
                files.setdefault(absolute_path(source), source)
        for source in files.values():
            if not follow and not Path(source).exists():
                raise CorpusError(f"{source}: no such file")
        known = {absolute_path(path): position for path, position in (positions or {}).items()}
        self._files = {
            source: FollowedFile(Path(source), from_start=from_start or not follow, position=known.get(path))
            for path, source in files.items()
        }
        for source, file in self._files.items():
            if file.missed:
                lost = "the file that was read before is gone: its last lines may have been missed"
                warnings.warn(f"{source}: {lost}", CharloomWarning, stacklevel=2)
        self._input = LineSplitter() if STANDARD_INPUT in sources else None

    @property
    def is_at_end(self) -> bool:
        """True if there will be no more lines: standard input has ended, and files are not followed."""
        return self._input is None and not self._files

    @property
    def positions(self) -> dict[str, Position]:
        """Position of each file after its last complete line, by absolute path."""
        open_files = ((source, file.position) for source, file in self._files.items())
        return self._ended | {absolute_path(source): place for source, place in open_files if place is not None}

    @property
    def num_bytes(self) -> tuple[int, int]:
        """Number of bytes of the files that were read, and their present size."""
        places = self.positions.values()
        unread = sum(file.num_unread for file in self._files.values())
        done = sum(place.offset for place in places)
        return done, done + unread

    def read(self) -> list[tuple[str, bytes]]:
        """Waits a moment for lines, and returns them with their sources; none if there were none in that time.

        Raises:
            InputError: A file cannot be read.
        """
        lines = self._read_files()
        if self._input is not None:
            lines += self._read_input(0.0 if lines else _POLL_SECONDS)
        elif not lines and not self.is_at_end:
            time.sleep(_POLL_SECONDS)
        return lines

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def _read_files(self) -> list[tuple[str, bytes]]:
        lines: list[tuple[str, bytes]] = []
        for source, file in list(self._files.items()):
            found = file.read()
            if not found and not self._follow:
                if not self._leave_incomplete:
                    found = file.finish()
                if (position := file.position) is not None:
                    self._ended[absolute_path(source)] = position
                file.close()
                del self._files[source]
            lines += [(source, line) for line in found]
        return lines

    def _read_input(self, seconds: float) -> list[tuple[str, bytes]]:
        assert self._input is not None
        descriptor = sys.stdin.fileno()
        try:
            # A regular file is always ready.
            if not select.select([descriptor], [], [], seconds)[0]:
                return []
            data = os.read(descriptor, _CHUNK)
        except OSError as error:
            raise InputError(f"standard input: {describe_os_error(error)}") from None
        if data:
            return [(STANDARD_INPUT, line) for line in self._input.feed(data)]
        lines = [(STANDARD_INPUT, line) for line in self._input.finish()]
        self._input = None
        return lines
