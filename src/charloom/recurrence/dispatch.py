"""The one place that chooses how a recurrence is computed.

The environment variable ``CHARLOOM_KERNELS`` forces a path, for tests and for users who debug:

- ``auto`` (default): the fastest path there is, which today is PyTorch's own.
- ``reference``: the equations, step by step.
"""

import os
from typing import Literal, TypeAlias, cast, get_args

from charloom.errors import SettingsError

Path: TypeAlias = Literal["auto", "reference"]
VARIABLE = "CHARLOOM_KERNELS"


def chosen_path() -> Path:
    """The path that the environment asks for. Raises SettingsError for a word it does not know."""
    word = os.environ.get(VARIABLE, "auto")
    if word not in get_args(Path):
        raise SettingsError(f"{VARIABLE}={word}: choose one of {', '.join(get_args(Path))}")
    return cast(Path, word)


def describe_path() -> str:
    """What computes the recurrences, in words, for ``charloom info``."""
    return {"auto": "PyTorch's own", "reference": "reference (the equations, step by step)"}[chosen_path()]
