"""The worker's side of the protocol: one JSON line in, one out, until the input ends.

In: a row's fields, ``contestant``, ``repeats``. Out: ``seconds`` of one step, or ``refused`` with the reason. What was
made for a row stays warm for the next round. Standard output is the protocol's; what a framework prints is sent away.
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
    """Answers until the input ends. make: a function that does one step; wait: ends when a step's result is there."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    made: dict[str, Step] = {}
    for line in sys.stdin:
        request = json.loads(line)
        repeats = request.pop("repeats")
        key = json.dumps(request, sort_keys=True)
        try:
            if key not in made:
                made[key] = make(request)
                for _ in range(3):
                    wait(made[key]())
            began = time.perf_counter()
            result = None
            for _ in range(repeats):
                result = made[key]()
            wait(result)
            answer: dict[str, Any] = {"seconds": (time.perf_counter() - began) / repeats}
        except Exception as error:  # whatever a peer cannot do is an answer too
            first_line = (str(error).strip().splitlines() or [""])[0][:200]
            answer = {"refused": f"{type(error).__name__}: {first_line}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()
    with contextlib.suppress(OSError):
        out.close()
