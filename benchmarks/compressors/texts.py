"""The texts of the compression benchmarks, and their division into a first part and the rest."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Text:
    """A text to compress.

    Attributes:
        name: Name of the text in the results.
        file: File name in the data folder.
        is_log: True for a log, which is also compressed line by line.
        bars: Required savings relative to a peer in percent, by peer.
        record_bars: The same for single lines.
    """

    name: str
    file: str
    is_log: bool
    bars: dict[str, float]
    record_bars: dict[str, float]

    def parts(self) -> tuple[bytes, bytes]:
        """Returns the first part, and the rest to compress: 90% and 10% of a text, half of a log's lines each."""
        data = (data_folder() / self.file).read_bytes()
        at = len(data) * 9 // 10
        if self.is_log:
            lines = data.splitlines(keepends=True)
            at = len(b"".join(lines[: len(lines) // 2]))
        return data[:at], data[at:]

    def records(self) -> list[bytes]:
        """Returns the lines of the rest without line feeds."""
        return self.parts()[1].removesuffix(b"\n").split(b"\n")


_BARS = {"zpaq -m5": 4.0, "PPMd order 6": 9.0}
_RECORD_BARS = {"PPMd order 6": 7.0}
TEXTS = [
    Text("tinyshakespeare", "tinyshakespeare.txt", False, _BARS, {}),
    Text("timemachine", "timemachine.txt", False, _BARS, {}),
    Text("alice29", "alice29.txt", False, _BARS, {}),
    Text("HDFS", "HDFS_2k.log", True, {"zpaq -m5": 14.0}, _RECORD_BARS),
    Text("Linux", "Linux_2k.log", True, {"zpaq -m5": 6.0}, _RECORD_BARS),
]


def data_folder() -> Path:
    """Returns the folder of the texts. Raises SystemExit if CHARLOOM_DATA is not set."""
    folder = os.environ.get("CHARLOOM_DATA")
    if not folder:
        raise SystemExit("set CHARLOOM_DATA to a folder with " + ", ".join(text.file for text in TEXTS))
    return Path(folder)
