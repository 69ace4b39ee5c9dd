"""What a text takes without a model: the yardsticks beside an evaluation."""

import gzip
import lzma
import math
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Baseline:
    """A text by a simple means.

    Attributes:
        name: Which.
        total_bits: What the whole text takes.
        note: What must be known to read the figure.
        compressed: Whether it is what a compressor wrote, headers and all.
    """

    name: str
    total_bits: float
    note: str
    compressed: bool = False


def measure_baselines(text: str | bytes, vocabulary_size: int) -> list[Baseline]:
    """Uniform, unigram, gzip and xz on one non-empty text."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    counts = Counter(text).values()
    unigram = sum(count * math.log2(len(text) / count) for count in counts)
    return [
        Baseline("uniform", len(text) * math.log2(vocabulary_size), f"blind guessing among {vocabulary_size} tokens"),
        Baseline("unigram", unigram, "this text's own character frequencies, known beforehand"),
        Baseline("gzip -9", 8 * len(gzip.compress(data, 9, mtime=0)), "this text, compressed", compressed=True),
        Baseline(
            "xz -9e",
            8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)),
            "this text, compressed",
            compressed=True,
        ),
    ]
