"""The texts of the compression benchmarks, their division into a first part and the rest, and training recipes."""

import os
from dataclasses import dataclass
from pathlib import Path

from charloom import ModelSettings, TrainingSettings
from charloom.settings.cells import CellName

HELD_OUT = 1 / 9
"""Share of the first part, at its end, that the network is not trained on; it trains the mixer's weights."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a network and its training that differ between texts."""

    hidden_size: int
    epochs: int
    dropout: float
    batch_size: int
    cell: CellName = "lstm"

    def model(self) -> ModelSettings:
        """Returns the model's settings."""
        return ModelSettings(
            self.cell, hidden_size=self.hidden_size, embedding_size=64, dropout=self.dropout, init_sigma=0
        )

    def training(self, precision: str) -> TrainingSettings:
        """Returns the training settings, with one thread for reproducible results."""
        return TrainingSettings(
            batch_size=self.batch_size,
            num_steps=64,
            epochs=self.epochs,
            optimizer="adamw",
            learning_rate=0.004,
            schedule="cosine",
            validation_fraction=HELD_OUT,
            sample_every=0,
            device="cpu",
            threads=1,
            precision="bfloat16" if precision == "bfloat16" else "float32",
        )


@dataclass(frozen=True)
class Text:
    """A text to compress.

    Attributes:
        name: Name of the text in the results.
        file: File name in the data folder.
        is_log: True for a log, which is also compressed line by line.
        recipe: Settings of the network and its training.
        bars: Required savings relative to a peer in percent, by peer.
        record_bars: The same for single lines.
    """

    name: str
    file: str
    is_log: bool
    recipe: Recipe
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
    Text("tinyshakespeare", "tinyshakespeare.txt", False, Recipe(512, 8, 0.2, 32), _BARS, {}),
    Text("timemachine", "timemachine.txt", False, Recipe(512, 24, 0.4, 16), _BARS, {}),
    Text("alice29", "alice29.txt", False, Recipe(512, 24, 0.4, 16), _BARS, {}),
    Text("HDFS", "HDFS_2k.log", True, Recipe(256, 12, 0.3, 16), {"zpaq -m5": 14.0}, _RECORD_BARS),
    Text("Linux", "Linux_2k.log", True, Recipe(256, 12, 0.3, 16), {"zpaq -m5": 6.0}, _RECORD_BARS),
]


def data_folder() -> Path:
    """Returns the folder of the texts. Raises SystemExit if CHARLOOM_DATA is not set."""
    folder = os.environ.get("CHARLOOM_DATA")
    if not folder:
        raise SystemExit("set CHARLOOM_DATA to a folder with " + ", ".join(text.file for text in TEXTS))
    return Path(folder)
