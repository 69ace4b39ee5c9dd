"""The worker's side of the protocol: one JSON line in, one line out, until the end of input.

A request has a row's fields, ``contestant`` and ``repeats``; the answer has ``seconds`` of one step, or ``refused``
with the reason. The model of a row stays warm for the next round.
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
    for line in sys.stdin:
        request = json.loads(line)
        repeats = request.pop("repeats")
        key = json.dumps(request, sort_keys=True)
        try:
            if key not in steps:
                steps[key] = make(request)
                for _ in range(3):
                    wait(steps[key]())
            start = time.perf_counter()
            result = None
            for _ in range(repeats):
                result = steps[key]()
            wait(result)
            answer: dict[str, Any] = {"seconds": (time.perf_counter() - start) / repeats}
        except Exception as error:  # a peer's failure is reported as its answer
            first_line = (str(error).strip().splitlines() or [""])[0][:200]
            answer = {"refused": f"{type(error).__name__}: {first_line}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()
    with contextlib.suppress(OSError):
        out.close()
