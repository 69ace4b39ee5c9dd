"""The number of examples of Hypothesis: few in each run of the tests, many in the run of the slow ones."""

import os

_FACTOR = int(os.environ.get("CHARLOOM_EXAMPLES", "1"))


def examples(number: int) -> int:
    """Returns the number of examples of a test, which scripts/test-slow multiplies by ``CHARLOOM_EXAMPLES``."""
    return number * _FACTOR
