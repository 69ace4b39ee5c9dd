"""The worker's side of the protocol: one JSON line in, one line out, until the end of input.

A request has a row's fields, ``contestant`` and ``repeats``; the answer has ``seconds`` of one step, or ``refused``
with the reason. With ``latencies`` in the request each step is timed alone, and the answer has ``median`` and ``p99``
in seconds, too. The model of a row stays warm for the next round.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[], Any]


def serve(make: Callable[[dict[str, Any]], Step], wait: Callable[[Any], object] = lambda _: None) -> None:
    """Answers requests until the end of input.

    Args:
        make: Function that returns a step for a row.
        wait: Function that blocks until a step's result is computed.
    """
    # Standard output is reserved for the protocol; output of frameworks is redirected to standard error.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    steps: dict[str, Step] = {}
    answer: dict[str, Any]
    for line in sys.stdin:
        request = json.loads(line)
        repeats, latencies = request.pop("repeats"), request.pop("latencies", False)
        key = json.dumps(request, sort_keys=True)
        try:
            if key not in steps:
                steps[key] = make(request)
                for _ in range(3):
                    wait(steps[key]())
            if latencies:
                answer = _latencies(steps[key], repeats)
            else:
                start = time.perf_counter()
                result = None
                for _ in range(repeats):
                    result = steps[key]()
                wait(result)
                answer = {"seconds": (time.perf_counter() - start) / repeats}
        except Exception as error:  # a peer's failure is reported as its answer
            first_line = (str(error).strip().splitlines() or [""])[0][:200]
            answer = {"refused": f"{type(error).__name__}: {first_line}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()
    with contextlib.suppress(OSError):
        out.close()


def _latencies(step: Step, repeats: int) -> dict[str, Any]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    return {"seconds": sum(times) / repeats, "median": times[repeats // 2], "p99": times[int(0.99 * repeats)]}
