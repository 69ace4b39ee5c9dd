"""How fast is a corpus larger than memory encoded, and how much memory do encoding and training take?

Texts of several gigabytes are generated for the run. In a separate process on one core, each text is encoded, found
again in the cache and trained on, and all minibatches are read; the resident memory is sampled twenty times per second.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from alternate import machine, write_result

_POOL_BYTES = 64 << 20
_CHUNK = 1 << 20
_CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bytes": ("ascii", {"unit": "byte"}),
    "characters": ("ascii", {}),
    "characters, cleaned": ("ascii", {"lowercase": True, "collapse_whitespace": True}),
    "thousands of characters": ("wide", {}),
}
"""Kind of text, and arguments to read it with."""


def make_pool(kind: str) -> bytes:
    """Returns lines of random words with a Zipf distribution, at least ``_POOL_BYTES`` bytes."""
    random = np.random.default_rng(0)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    if kind == "wide":
        letters = [chr(code) for code in (*range(0x4E00, 0x4E00 + 5000), *range(0x430, 0x450))]
    weights = 1 / np.arange(1, len(letters) + 1)
    chosen = random.choice(letters, size=(20_000, 12), p=weights / weights.sum())
    words = ["".join(row[:length]) for row, length in zip(chosen, random.integers(1, 12, len(chosen)), strict=True)]
    words = [word.capitalize() if number % 9 == 0 else word for number, word in enumerate(words)]
    ends = [" ", " ", " ", " ", " ", " ", ", ", ". ", ".\n", "  "]
    chunks = []
    size = 0
    while size < _POOL_BYTES:
        numbers = random.zipf(1.3, 100_000) % len(words)
        text = "".join(words[number] + ends[number % len(ends)] for number in numbers)
        chunks.append(text.encode())
        size += len(chunks[-1])
    return b"".join(chunks)


def make_file(file: Path, kind: str, num_bytes: int) -> None:
    """Writes a text of at least ``num_bytes`` bytes, consisting of runs of the pool's lines."""
    lines = make_pool(kind)
    random = np.random.default_rng(1)
    size = 0
    with file.open("wb") as out:
        while size < num_bytes:
            start = lines.find(b"\n", int(random.integers(0, len(lines) - 2 * _CHUNK))) + 1
            size += out.write(lines[start : lines.rfind(b"\n", start, start + _CHUNK) + 1])


class ResidentMemory:
    """Context manager that samples this process' memory and keeps the peaks in MiB; Linux only."""

    def __init__(self) -> None:
        self.peaks: dict[str, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "ResidentMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in ("VmRSS", "RssAnon", "RssFile"):
                    self.peaks[name] = max(self.peaks.get(name, 0.0), int(value.split()[0]) / 1024)


def measure(file: Path, reading: dict[str, Any], steps: int, random_reads: int) -> dict[str, Any]:
    """Encodes, loads again, trains and reads minibatches in this process. Returns times and memory."""
    # Before the imports, so that the threads of libraries inherit the affinity.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import resource

    import torch

    import charloom
    from charloom.text.batching import random_batches, sequential_batches

    torch.set_num_threads(1)
    result: dict[str, Any] = {}
    size = file.stat().st_size

    def timed(name: str, run: Callable[[], Any]) -> Any:
        with ResidentMemory() as memory:
            start, used = time.perf_counter(), time.process_time()
            done = run()
            seconds = {"seconds": time.perf_counter() - start, "processor seconds": time.process_time() - used}
            result[name] = {key: round(value, 3) for key, value in seconds.items()}
        result[name]["MiB"] = {key: round(value) for key, value in memory.peaks.items()}
        return done

    corpus = timed("encode", lambda: charloom.load_corpus(file, **reading))
    corpus = timed("load again", lambda: charloom.load_corpus(file, **reading))
    for name in ("encode", "load again"):
        result[name]["MB/s"] = round(size / 1e6 / result[name]["seconds"], 1)
        # CPU time excludes the time that other programs took of the core.
        result[name]["MB/s of processor"] = round(size / 1e6 / result[name]["processor seconds"], 1)
    result |= {"ids": len(corpus.ids), "tokens": len(corpus.vocabulary), "bytes_per_id": corpus.ids.bytes_per_id}

    class Stop:
        """Listener that ends a run after ``steps`` steps."""

        def __init__(self) -> None:
            self.left = steps

        def __call__(self, _: object) -> None:
            from charloom.training.events import StopTraining

            self.left -= 1
            if self.left <= 0:
                raise StopTraining

    for partitioning in ("sequential", "random"):
        settings = charloom.TrainingSettings(
            epochs=1, partitioning=partitioning, optimizer="adamw", learning_rate=0.003, sample_every=0, device="cpu"
        )
        model = charloom.build_model(corpus.vocabulary, charloom.ModelSettings())
        name = f"train, {partitioning}"
        timed(name, functools.partial(charloom.train, model, corpus, settings, listeners=[Stop()]))
        result[name]["steps"] = steps

    def read(batches: Iterator[Any], max_batches: int) -> int:
        return sum(1 for _, _ in zip(range(max_batches), batches, strict=False))

    generator = torch.Generator().manual_seed(0)
    for partitioning, batches, max_batches in (
        ("sequential", sequential_batches(corpus.ids, 32, 35, 0), 10**9),
        ("random", random_batches(corpus.ids, 32, 35, 0, generator), random_reads),
    ):
        name = f"read minibatches, {partitioning}"
        count = timed(name, functools.partial(read, batches, max_batches))
        result[name]["minibatches"] = count
    result["peak MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return result


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=1000, help="training steps for each partitioning")
    parser.add_argument(
        "--only",
        nargs="*",
        choices=list(_CONTESTANTS),
        default=list(_CONTESTANTS),
        help="texts to measure; the stored results of the others are kept",
    )
    parser.add_argument(
        "--random-reads", type=int, default=500_000, help="number of minibatches to read in random order"
    )
    parser.add_argument("--folder", type=Path, help="folder for texts and ids; needs twice the size of a text")
    options = parser.parse_args()
    last = Path(__file__).parent / "results" / "large_corpus.json"
    results = json.loads(last.read_text())["results"] if last.exists() and len(options.only) < len(_CONTESTANTS) else {}
    for name in options.only:
        kind, reading = _CONTESTANTS[name]
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            file = Path(folder) / "text"
            start = time.perf_counter()
            make_file(file, kind, int(options.gigabytes * 1e9))
            time.sleep(3)  # files modified within the last two seconds are not found in the cache
            print(
                f"{name}: {file.stat().st_size / 1e9:.2f} GB generated in {time.perf_counter() - start:.0f} s",
                flush=True,
            )
            arguments = f"Path({str(file)!r}), {reading!r}, {options.steps}, {options.random_reads}"
            code = "import json, large_corpus; from pathlib import Path; "
            code += f"print(json.dumps(large_corpus.measure({arguments})))"
            paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
            variables = dict(os.environ, PYTHONPATH=paths, CHARLOOM_CACHE=folder, OMP_NUM_THREADS="1")
            done = subprocess.run(
                [sys.executable, "-c", code], env=variables, check=True, stdout=subprocess.PIPE, text=True
            )
            results[name] = json.loads(done.stdout) | {"gigabytes": file.stat().st_size / 1e9}
        for part, found in results[name].items():
            print(f"  {part:28s} {found}", flush=True)
    write_result("large_corpus", {"question": __doc__, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
