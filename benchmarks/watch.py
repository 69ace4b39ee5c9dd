"""How many lines per second does ``charloom watch`` score, and does its memory grow?

A log of 100 characters a line, as of a web server, is generated. A model is trained on its start, and ``charloom watch
MODEL LOG --no-follow`` reads the rest. For comparison, ``grep`` counts the lines that match a pattern. Memory is read
from /proc every 0.1 seconds: its maximum in the second half is compared with that in the first half, after the model is
loaded.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alternate import machine, write_result

_PATHS = ("/index.html", "/api/items", "/api/orders", "/static/site.css", "/static/app.js", "/login", "/search?q=rnn")
_AGENTS = ("Mozilla/5.0 (X11; Linux)", "curl/8.5.0", "Mozilla/5.0 (Windows)")
_NUM_TRAINED = 5_000  # lines


def make_lines(count: int, seed: int) -> bytes:
    """Returns the lines of a web server's log, with times that increase."""
    source = random.Random(seed)
    lines = []
    now = 1_700_000_000.0
    for _ in range(count):
        now += source.expovariate(10.0)
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S", time.gmtime(now))
        address = f"10.0.{source.randrange(4)}.{source.randrange(250)}"
        status = source.choices((200, 304, 404, 500), (90, 7, 2, 1))[0]
        request = f'"GET {source.choice(_PATHS)} HTTP/1.1" {status} {int(source.paretovariate(1.2) * 300)}'
        line = f"{address} - - [{stamp}] {request} {source.choice(_AGENTS)} {source.randrange(100)}ms"
        lines.append(line.ljust(99)[:99])
    return "\n".join(lines).encode() + b"\n"


def watch(model: Path, log: Path) -> tuple[float, list[int]]:
    """Returns the seconds that the process takes, and its resident bytes over time."""
    words = [sys.executable, "-m", "charloom", "watch", str(model), str(log), "--no-follow"]
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sizes = []
    while process.poll() is None:
        (pages,) = re.findall(r"^\d+ (\d+)", Path(f"/proc/{process.pid}/statm").read_text()) or ["0"]
        sizes.append(int(pages) * os.sysconf("SC_PAGE_SIZE"))
        time.sleep(0.1)
    assert process.returncode in (0, 3), process.returncode
    return time.perf_counter() - started, sizes


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=60_000)
    options = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        first, log = folder / "first.log", folder / "rest.log"
        first.write_bytes(make_lines(_NUM_TRAINED, 0))
        log.write_bytes(make_lines(options.lines, 1))
        (empty := folder / "empty.log").write_bytes(b"")
        for name, choices in {"rnn 256": ["--cell", "rnn", "--hidden-size", "256"], "no options": []}.items():
            model = folder / name.replace(" ", "")
            words = [sys.executable, "-m", "charloom", "train", str(first), "-o", str(model), *choices]
            subprocess.run([*words, "--validation-fraction", "0.1"], check=True, capture_output=True)
            start, _ = watch(model, empty)
            seconds, sizes = watch(model, log)
            loaded = sizes[int(len(sizes) * start / seconds) :]
            half = len(loaded) // 2
            result[name] = {
                "lines_per_second": round(options.lines / (seconds - start)),
                "seconds_to_start": round(start, 1),
                "megabytes": round(max(loaded) / 1e6),
                "growth_of_memory": round(max(loaded[half:]) / max(loaded[:half]), 3),
            }
            print(name, result[name], flush=True)
        started = time.perf_counter()
        subprocess.run(["grep", "-c", " 500 ", str(log)], check=True, capture_output=True)
        result["grep"] = {"lines_per_second": round(options.lines / (time.perf_counter() - started))}
    write_result("watch", {"question": __doc__, "lines": options.lines, **result, "machine": machine()})


if __name__ == "__main__":
    main()
