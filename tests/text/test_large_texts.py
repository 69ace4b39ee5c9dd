"""Texts that are too long for memory, in real processes."""

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from charloom.text import encoding
from process import PATIENCE, SMALL, call, environment

_LINE = b"It was the best of times, it was the worst of times, it was the age of wisdom\n"
_LOAD = "import sys, charloom; c = charloom.load_corpus(sys.argv[1]); print(len(c.ids), c.fingerprint)"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """34 MB, more than is kept in memory, in a file that is old enough to be cached."""
    file = tmp_path_factory.mktemp("large") / "large.txt"
    file.write_bytes(_LINE * (34_000_000 // len(_LINE)))
    assert file.stat().st_size > encoding.MAX_IN_MEMORY
    time.sleep(2)
    return file


def _start(home: Path, *arguments: str | Path, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment(home, CHARLOOM_CACHE=str(home / "cache")),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _cached_kinds(home: Path) -> list[str]:
    """Returns the kinds of files in the cache."""
    names = [path.name for path in (home / "cache" / "texts").iterdir()]
    return sorted(name.split("-")[0] if name.startswith(".encoding") else Path(name).suffix for name in names)


def test_concurrent_processes_encode_a_text_once(text: Path, tmp_path: Path) -> None:
    """The others use the cached ids."""
    counted = "import charloom.text.encoding as e; finish = e.Encoder.finish\n"
    counted += "e.Encoder.finish = lambda self: (open('encoded', 'a').write('x'), finish(self))[1]\n" + _LOAD
    processes = [_start(tmp_path, "-c", counted, text) for _ in range(2)]
    results = [process.communicate(timeout=PATIENCE) for process in processes]
    assert len(set(results)) == 1
    assert results[0][0].startswith(f"{text.stat().st_size} ")
    assert results[0][1] == ""
    assert (tmp_path / "encoded").read_text() == "x"
    assert _cached_kinds(tmp_path) == [".ids"]


def test_a_process_killed_while_it_encodes(text: Path, tmp_path: Path) -> None:
    """Its partial file is not used, and does no harm."""
    slow = "import time, charloom.text.encoding as e; encode = e.Encoder.encode\n"
    slow += "e.Encoder.encode = lambda self, chunk: (encode(self, chunk), time.sleep(0.02))[0]\n" + _LOAD
    process = _start(tmp_path, "-c", slow, text)
    for _ in range(3000):
        if any((tmp_path / "cache").glob("texts/.encoding-*")):
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert _cached_kinds(tmp_path) == [".encoding", ".lock"]
    out, errors = _start(tmp_path, "-c", _LOAD, text).communicate(timeout=PATIENCE)
    assert out.startswith(f"{text.stat().st_size} ")
    assert errors == ""
    assert _cached_kinds(tmp_path) == [".encoding", ".ids"]


def test_a_full_disk_ends_in_one_line_and_leaves_no_file(text: Path, tmp_path: Path) -> None:
    """Files of the process are limited to 30 MB: the write of ids starts and then fails."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000_000, 30_000_000))

    process = _start(tmp_path, "-m", "charloom", "train", text, "--output", "model", *SMALL, preexec_fn=limit)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, "")
    (line,) = errors.splitlines()
    assert line.startswith(
        f"charloom: error: {tmp_path}/cache: cannot write the token ids of large.txt to this folder (File too large)"
    )
    assert line.endswith("to a writable folder with enough space")
    assert _cached_kinds(tmp_path) == []
    assert not (tmp_path / "model").exists()


_MEASURE = """
import json, sys, threading, itertools
from pathlib import Path
import numpy, torch, charloom
from charloom.text.batching import random_batches, sequential_batches

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.startswith("Rss")}
    return found["RssAnon"] + found["RssFile"]

small = charloom.corpus_from("abc" * 1000)  # what is loaded on first use is not the text's
charloom.train(charloom.build_model(small.vocabulary, charloom.ModelSettings(hidden_size=8)), small,
               charloom.TrainingSettings(epochs=1, batch_size=2, num_steps=5, sample_every=0, device="cpu"))
before = resident()
most, done = 0, threading.Event()
def watch():
    global most
    while not done.wait(0.01):
        most = max(most, resident())
thread = threading.Thread(target=watch)
thread.start()
corpus = charloom.load_corpus(sys.argv[1], unit="byte")
again = charloom.load_corpus(sys.argv[1], unit="byte")
read = sum(1 for _ in sequential_batches(corpus.ids, 64, 500, 0))
generator = torch.Generator().manual_seed(0)
for _ in itertools.islice(random_batches(again.ids, 32, 35, 0, generator), 3000):
    pass
done.set()
thread.join()
print(json.dumps({"grown": most - before, "ids": len(corpus.ids), "read": read}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's memory statistics")
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    """A gigabyte of text is encoded, found again and read, in two ways, in a quarter of a gigabyte of memory."""
    file = tmp_path / "zeros"
    with file.open("wb") as out:
        out.truncate(1 << 30)
    process = _start(tmp_path, "-c", _MEASURE, file)
    out_text, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    found = json.loads(out_text)
    assert found["ids"] == 1 << 30
    assert found["read"] == ((1 << 30) - 1) // 64 // 500
    assert found["grown"] < 400 << 20  # 256 MB may be resident pages of the file, and 64 MB its random order


def _catches(process: int, number: signal.Signals) -> bool:
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the caught signals of a process from /proc")
def test_the_command_line_trains_on_a_long_text(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM ends it; the second run finds the text, and the folder names it."""
    for model in ("first", "model"):
        options = ["--output", model, "--no-priming", "--sample-every", "0"]
        process = _start(tmp_path, "-m", "charloom", "train", text, *options, *SMALL)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("text    large.txt: 33,9")
        while not (tmp_path / model / "checkpoints").exists():  # as it does when training starts
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (128 + signal.SIGTERM, "")
    assert _cached_kinds(tmp_path) == [".ids"]
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "cache"))
    listed = call(tmp_path, "cache").done()
    assert "large.txt" in listed
    assert "1 cached text, 34.0 MB in" in listed
    assert call(tmp_path, "cache", "--clear").done() == f"Removed 34.0 MB from {tmp_path}/cache\n"
    assert _cached_kinds(tmp_path) == []
    assert "large.txt" in call(tmp_path, "info", "model").done()
