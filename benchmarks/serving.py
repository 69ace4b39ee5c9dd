"""How long do 50 clients of ``charloom serve`` wait, and does the memory of the server grow?

In each round, all clients connect at once, and each receives a completion as a stream. The times of each client are
those until its first text and until its last, from the start of its request. The resident memory of the server is read
from /proc after each round. For comparison, one client alone receives the same completion before the first round.
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alternate import machine, write_result


@dataclass(frozen=True)
class Times:
    """Times of a completion in seconds.

    Attributes:
        first: Time until the first text.
        total: Time until the end.
        num_chars: Number of characters.
    """

    first: float
    total: float
    num_chars: int


def complete(port: int, num_tokens: int, seed: int) -> Times:
    """Receives a completion as a stream. Raises RuntimeError if it is refused, or ends with an error."""
    started = time.perf_counter()
    first = None
    num_chars = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    body = {"prompt": "It was", "max_tokens": num_tokens, "seed": seed, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()

    for line in response:
        if line.startswith(b"data: {"):
            text = json.loads(line[6:])["choices"][0]["text"]
            num_chars += len(text)
            if text and first is None:
                first = time.perf_counter() - started
    connection.close()
    if first is None:
        raise RuntimeError(f"no text: status {response.status}")
    return Times(first, time.perf_counter() - started, num_chars)


def run_round(port: int, num_clients: int, num_tokens: int) -> list[Times]:
    """Returns the times of clients that start at the same moment."""
    times: list[Times] = []
    barrier = threading.Barrier(num_clients)

    def run(seed: int) -> None:
        barrier.wait()
        times.append(complete(port, num_tokens, seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(num_clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) < num_clients:
        raise RuntimeError(f"only {len(times)} of {num_clients} clients were served")
    return times


def read_memory(process: int) -> int:
    """Returns the resident bytes of a process."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def summarize(times: list[Times]) -> dict[str, Any]:
    """Returns the median and the extremes of the times, in seconds."""
    return {
        name: {
            "min": round(min(values), 2),
            "median": round(statistics.median(values), 2),
            "max": round(max(values), 2),
        }
        for name, values in (("first", [one.first for one in times]), ("total", [one.total for one in times]))
    }


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="english")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    words = [sys.executable, "-m", "charloom", "serve", options.model, "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r":(\d+)/", process.stderr.readline())
            assert found is not None
            port = int(found[1])
            alone = complete(port, options.tokens, 0)
            rounds, memory = [], [read_memory(process.pid)]
            for _ in range(options.rounds):
                times = run_round(port, options.clients, options.tokens)
                memory.append(read_memory(process.pid))
                seconds = max(one.total for one in times)
                speed = round(sum(one.num_chars for one in times) / seconds)
                rounds.append(summarize(times) | {"chars_per_second": speed})
                print(rounds[-1], f"{memory[-1] / 1e6:.0f} MB", flush=True)
        finally:
            process.terminate()
    write_result(
        "serving",
        {
            "question": __doc__,
            **vars(options),
            "alone": {"first": round(alone.first, 3), "total": round(alone.total, 3)},
            "rounds": rounds,
            "megabytes": [round(size / 1e6, 1) for size in memory],
            "machine": machine(),
        },
    )


if __name__ == "__main__":
    main()
