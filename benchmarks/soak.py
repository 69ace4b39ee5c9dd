"""Does ``charloom watch`` lose or repeat a line, or grow, while a log is written, rotated and truncated for long?

A log of 100 characters a line is written at a constant rate. One line in 1,000 is a message of its own; all lines are
printed, and these must be exactly once. Every 50,000 lines, the log is rotated (renamed and created again). The second
rotation of four leaves no file for a second, and the new file starts with bytes that are not UTF-8; after the third
one, a line of 10 MB is written; after the fourth one, ``watch`` is stopped by SIGTERM and started again with its state
while the log grows. The number of lines that ``watch`` has read must be that of the lines written, and the largest
memory in the second half is compared with that in the first half.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from alternate import machine, write_result
from watch import make_lines

_CHUNK = 500  # lines that are written at once
_UNUSUAL_EVERY, _ROTATED_EVERY = 1_000, 50_000  # lines
_NUM_TRAINED = 5_000
_WORDS = ("sensor", "pump", "valve", "turbine", "reactor", "boiler", "furnace", "conveyor", "gearbox", "actuator")


class Watch:
    """``charloom watch`` with a state, as a process that can be stopped and started again.

    Attributes:
        printed: Texts of the lines that were printed.
        num_lines: Number of lines that were read by the processes that ended.
        memory: Resident bytes of the processes over time.
        is_running: True between ``start`` and ``stop``.
    """

    def __init__(self, model: Path, log: Path) -> None:
        self._words = [sys.executable, "-m", "charloom", "watch", str(model), str(log), "--json", "--from-start"]
        self._words += ["--bits", "0.001", "--repeats", "--state", str(log.parent / "state")]
        self.printed: list[str] = []
        self.num_lines = 0
        self.memory: list[int] = []
        self.is_running = False
        self.start()

    def start(self) -> None:
        """Starts the process, and waits until it reads the log."""
        self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        assert self._process.stdout is not None
        first = self._process.stderr.readline()
        if not first.startswith("watching "):
            self._process.kill()
            raise RuntimeError(first + self._process.stderr.read())
        self._reader = threading.Thread(target=self._collect, args=(self._process.stdout,))
        self._reader.start()
        self.is_running = True

    def stop(self) -> None:
        """Stops the process with SIGTERM."""
        self._process.send_signal(signal.SIGTERM)
        self._reader.join()
        assert self._process.stderr is not None
        summary = self._process.stderr.read()
        self._process.wait()
        self.num_lines += int(summary.partition(" line")[0].replace(",", ""))
        self.is_running = False

    def wait_until_read(self, log: Path) -> None:
        """Waits until the process has read the log to its end, and for the last lines to be scored."""
        while self._position(log) < log.stat().st_size:
            time.sleep(0.5)
        time.sleep(10)

    def _position(self, log: Path) -> int:
        """Returns the position of the process in the log; 0 if it has another file open."""
        for link in Path(f"/proc/{self._process.pid}/fd").iterdir():
            if link.resolve() == log.resolve():
                fields = Path(f"/proc/{self._process.pid}/fdinfo/{link.name}").read_text().split()
                return int(fields[fields.index("pos:") + 1])
        return 0

    def measure_memory(self) -> None:
        """Adds the resident bytes of the process to ``memory``."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))

    def _collect(self, lines: Iterable[str]) -> None:
        self.printed += [json.loads(line)["text"] for line in lines]


def make_unusual(number: int) -> str:
    """Returns a message whose words no other message has in this order."""
    words = " ".join(_WORDS[number // len(_WORDS) ** place % len(_WORDS)] for place in range(4))
    return f"EMERGENCY {words} overheated, shutting down unit {number}"


def rotate(log: Path, number: int, watch: Watch) -> int:
    """Rotates the log, with the disturbance of this number; returns how many lines were added."""
    log.rename(log.with_suffix(".log.1"))
    if number % 4 == 2:
        time.sleep(1)
    added = {2: b"caf\xe9 \xff\xfe\n", 3: b"x" * 10_000_000 + b"\n"}.get(number % 4, b"")
    log.write_bytes(added)
    if number % 4 == 0:
        watch.stop()
    return int(bool(added))


def write_and_watch(log: Path, model: Path, num_lines: int, rate: float) -> tuple[Watch, int, list[str]]:
    """Writes the log while it is watched; returns the watch, the number of lines written, and the unusual messages."""
    log.write_bytes(b"")
    watch = Watch(model, log)
    ordinary = make_lines(_ROTATED_EVERY, 1).splitlines(keepends=True)
    written = extra = 0
    unusual: list[str] = []
    started = time.perf_counter()
    while written < num_lines:
        place = written % len(ordinary)
        chunk = ordinary[place : place + _CHUNK]
        if written % _UNUSUAL_EVERY == 0:
            unusual.append(make_unusual(len(unusual)))
            chunk[_CHUNK // 2] = unusual[-1].encode() + b"\n"
        with log.open("ab") as file:
            file.write(b"".join(chunk))
        written += len(chunk)
        if not watch.is_running:
            watch.start()
        time.sleep(max(0.0, written / rate - (time.perf_counter() - started)))
        watch.measure_memory()
        if written % _ROTATED_EVERY == 0 and written < num_lines:
            extra += rotate(log, written // _ROTATED_EVERY, watch)
    watch.wait_until_read(log)
    watch.stop()
    return watch, written + extra, unusual


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--rate", type=float, default=2_000, help="lines per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (first := folder / "first.log").write_bytes(make_lines(_NUM_TRAINED, 0))
        words = [sys.executable, "-m", "charloom", "train", str(first), "-o", str(folder / "model")]
        words += ["--cell", "rnn", "--hidden-size", "256", "--validation-fraction", "0.1"]
        subprocess.run(words, check=True, capture_output=True)
        started = time.perf_counter()
        watch, written, unusual = write_and_watch(folder / "app.log", folder / "model", options.lines, options.rate)
        seconds = time.perf_counter() - started
    counts = Counter(watch.printed)
    half = len(watch.memory) // 2
    result = {
        "lines_written": written,
        "lines_read": watch.num_lines,
        "unusual": len(unusual),
        "unusual_missed": sum(text not in counts for text in unusual),
        "unusual_repeated": sum(counts[text] > 1 for text in unusual),
        "seconds": round(seconds, 1),
        "times_1000_lines_per_second": round(written / seconds / 1000, 2),
        "megabytes": round(max(watch.memory) / 1e6),
        "growth_of_memory": round(max(watch.memory[half:]) / max(watch.memory[:half]), 3),
    }
    print(*(f"{name}: {value}" for name, value in result.items()), sep="\n")
    write_result("soak", {"question": __doc__, **result, "machine": machine()})


if __name__ == "__main__":
    main()
