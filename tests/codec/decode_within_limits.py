"""A program of its own: decodes many damaged files, each in a child that the kernel keeps to its time and memory.

Its arguments: a folder with samples, how many cases, and the first seed. It prints how the cases ended, as counts in
JSON, and the seeds of those that ended otherwise than they may.
"""

import collections
import json
import os
import random
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from charloom import Codec, CompressedFileError
from charloom.codec.engine import Engine
from charloom.codec.engines import make_engine
from damage import damaged
from fake_engines import PlainEngine, ZlibEngine
from golden_engines import MODEL, PRIMING

_SECONDS = 2
_STEP = 1 << 20
_SAME = "the same bytes"


def address_space() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def in_child(codec: Codec, blob: bytes, original: bytes, memory: int) -> str:
    """How decoding ends with so much more memory: the error's class, or what became of it."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        verdict = "?"
        try:
            signal.alarm(30 * _SECONDS)  # against waiting, which takes no processor time
            resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
            limit = address_space() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            try:
                found = codec.decompress(blob)
                verdict = _SAME if found == original else "wrong bytes"
            except CompressedFileError as error:
                verdict = type(error).__name__
            except BaseException as error:
                verdict = f"crash: {error!r}"
            os.write(write_end, verdict.encode()[:1000])
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        verdict = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return verdict if status == 0 and verdict else f"killed, status {status}"


ENGINES: dict[str, Callable[[], Engine]] = {
    "plain": PlainEngine,
    "zlib": ZlibEngine,
    "fast": lambda: make_engine(MODEL, PRIMING, fast=True),
    "mixing": lambda: make_engine(MODEL, PRIMING, fast=False),
}
"""By the first word of a sample's name."""


def main(folder: Path, cases: int, first: int) -> None:
    """Prints the counts and the failures."""
    samples = []
    for file in sorted(folder.glob("*.blob")):
        blob = file.read_bytes()
        # One thread: Python's own start of another hangs where memory runs out.
        codec = Codec(ENGINES[file.stem.split()[0]](), threads=1)
        original = codec.decompress(blob)
        # The least that undamaged decoding gets along with, to a megabyte; and one more for an exception's own.
        memory = next(m for m in range(0, 1 << 30, _STEP) if in_child(codec, blob, original, m) == _SAME) + _STEP
        samples.append((codec, blob, original, memory))
    counts: collections.Counter[str] = collections.Counter()
    failures = []
    for seed in range(first, first + cases):
        source = random.Random(seed)
        codec, blob, original, memory = source.choice(samples)
        verdict = in_child(codec, damaged(blob, source), original, memory)
        counts[verdict] += 1
        if verdict != _SAME and not verdict.endswith("Error"):
            failures.append((seed, verdict))
    json.dump({"counts": counts, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
