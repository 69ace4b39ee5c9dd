"""The texts, how each is cut into what is known beforehand and what is compressed, and what is trained on it."""

import os
from dataclasses import dataclass
from pathlib import Path

from charloom import ModelSettings, TrainingSettings
from charloom.settings.cells import CellName

UNSEEN = 1 / 9
"""Of the training part, at its end: what the network is not trained on, so that the mixture is primed with it."""


@dataclass(frozen=True)
class Recipe:
    """A network and its training: the numbers that differ from text to text."""

    hidden_size: int
    epochs: int
    dropout: float
    batch_size: int
    cell: CellName = "lstm"

    def model(self) -> ModelSettings:
        """What is built."""
        return ModelSettings(
            self.cell, hidden_size=self.hidden_size, embedding_size=64, dropout=self.dropout, init_sigma=0
        )

    def training(self, precision: str) -> TrainingSettings:
        """How it is trained, with one thread: how many there are shall not matter to the result."""
        return TrainingSettings(
            batch_size=self.batch_size,
            num_steps=64,
            epochs=self.epochs,
            optimizer="adamw",
            learning_rate=0.004,
            schedule="cosine",
            validation_fraction=UNSEEN,
            sample_every=0,
            device="cpu",
            threads=1,
            precision="bfloat16" if precision == "bfloat16" else "float32",
        )


@dataclass(frozen=True)
class Text:
    """One text. Bars are the issue's: how many percent fewer bytes than a peer's, by contestant."""

    name: str
    file: str
    is_log: bool
    recipe: Recipe
    bars: dict[str, float]
    record_bars: dict[str, float]

    def parts(self) -> tuple[bytes, bytes]:
        """What is known beforehand, and what is compressed: 90 and 10 % of a text, half of a log's lines each."""
        data = (data_folder() / self.file).read_bytes()
        at = len(data) * 9 // 10
        if self.is_log:
            lines = data.splitlines(keepends=True)
            at = len(b"".join(lines[: len(lines) // 2]))
        return data[:at], data[at:]

    def records(self) -> list[bytes]:
        """The lines of what is compressed, without their line feeds."""
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
    """Where the texts lie. Raises SystemExit where nobody has said so."""
    folder = os.environ.get("CHARLOOM_DATA")
    if not folder:
        raise SystemExit("set CHARLOOM_DATA to a folder with " + ", ".join(text.file for text in TEXTS))
    return Path(folder)
