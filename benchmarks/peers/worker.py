"""The worker's side of the protocol: one JSON line in, one line out, until the end of input.

This module imports the standard library only, because workers run in environments of their own. A request to ``serve``
has a row's fields, ``contestant`` and ``repeats``; the answer has ``seconds`` of one step, or ``refused`` with the
reason. With ``latencies`` in the request each step is timed alone, and the answer has ``median`` and ``p99`` in
seconds, too. The model of a row stays warm for the next round.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]


def answer_requests(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers requests until the end of input.

    Args:
        answer: Function that returns the answer to a request. An error in it is the answer ``refused``.
    """
    # Standard output is reserved for the protocol; output of frameworks is redirected to standard error.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
        except Exception as error:  # a peer's failure is reported as its answer
            first_line = (str(error).strip().splitlines() or [""])[0][:200]
            result = {"refused": f"{type(error).__name__}: {first_line}"}
        out.write(json.dumps(result) + "\n")
        out.flush()
    with contextlib.suppress(OSError):
        out.close()


def serve(make: Callable[[dict[str, Any]], Step], wait: Callable[[Any], object] = lambda _: None) -> None:
    """Answers requests for the time of a step until the end of input.

    Args:
        make: Function that returns a step for a row.
        wait: Function that blocks until a step's result is computed.
    """
    steps: dict[str, Step] = {}

    def measure(request: dict[str, Any]) -> dict[str, Any]:
        repeats, latencies = request.pop("repeats"), request.pop("latencies", False)
        key = json.dumps(request, sort_keys=True)
        if key not in steps:
            steps[key] = make(request)
            for _ in range(3):
                wait(steps[key]())
        if latencies:
            return _latencies(steps[key], repeats)
        start = time.perf_counter()
        result = None
        for _ in range(repeats):
            result = steps[key]()
        wait(result)
        return {"seconds": (time.perf_counter() - start) / repeats}

    answer_requests(measure)


def _latencies(step: Step, repeats: int) -> dict[str, Any]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    return {"seconds": sum(times) / repeats, "median": times[repeats // 2], "p99": times[int(0.99 * repeats)]}
