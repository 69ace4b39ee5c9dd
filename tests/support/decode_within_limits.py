"""Decodes many damaged files, each in a child process whose time and memory the kernel limits.

Arguments: a folder with samples, the number of cases, and the first seed. Prints the counts of the outcomes as JSON,
with the seeds of the cases that failed.
"""

import collections
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

from charloom import Codec, CompressedFileError
from charloom_codec.engines.engine import Engine
from charloom_codec.format.opening import make_engine
from damage import damaged
from fake_engines import PlainEngine, ZlibEngine
from golden_engines import MODEL, PRIMING
from limited_child import in_child

_SECONDS = 2
_STEP = 1 << 20
_SAME = "the same bytes"


def outcome_of(codec: Codec, blob: bytes, original: bytes, memory: int) -> str:
    """Decodes with ``memory`` more bytes; returns the error's class, or how the result compares with the original."""

    def decode() -> str:
        try:
            return _SAME if codec.decompress(blob) == original else "wrong bytes"
        except CompressedFileError as error:
            return type(error).__name__

    return in_child(decode, seconds=_SECONDS, longest=30 * _SECONDS, memory=memory)


ENGINES: dict[str, Callable[[], Engine]] = {
    "plain": PlainEngine,
    "zlib": ZlibEngine,
    "fast": lambda: make_engine(MODEL, None),
    "mixing": lambda: make_engine(MODEL, PRIMING),
}
"""Engines by the first part of a sample's name."""


def main(folder: Path, cases: int, first: int) -> None:
    """Prints the counts and the failures."""
    samples = []
    for file in sorted(folder.glob("*.blob")):
        blob = file.read_bytes()
        # One thread: Python may hang at the start of another when memory runs out.
        codec = Codec(ENGINES[file.stem.split()[0]](), threads=1)
        original = codec.decompress(blob)
        # The least that undamaged decoding needs, to a megabyte; and one more for the exception.
        memory = next(m for m in range(0, 1 << 30, _STEP) if outcome_of(codec, blob, original, m) == _SAME) + _STEP
        samples.append((codec, blob, original, memory))
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    for seed in range(first, first + cases):
        source = random.Random(seed)
        codec, blob, original, memory = source.choice(samples)
        verdict = outcome_of(codec, damaged(blob, source), original, memory)
        counts[verdict] += 1
        if verdict != _SAME and not verdict.endswith("Error"):
            failures.append((seed, verdict))
    json.dump({"counts": counts, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
