"""Fixtures of the whole suite. The types of ``charloom.shapes`` are checked at every call while it runs."""

import os
from collections.abc import Iterator
from pathlib import Path

# One thread each: tests are small, and two-thread runs beside each other collapse.
os.environ["OMP_NUM_THREADS"] = "1"

import jaxtyping

# Before charloom is imported anywhere: the hook rewrites modules as they load. The command line is left out, as
# cyclopts reads its annotations itself.
_CHECKED = ["recurrence", "layers", "predictor", "language_model", "sampling", "generation", "evaluation", "batching"]
jaxtyping.install_import_hook([f"charloom.{name}" for name in _CHECKED], "beartype.beartype")

import pytest  # noqa: E402

_TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness,\n"
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of\n"
    "Darkness, it was the spring of hope, it was the winter of despair.\n"
)


@pytest.fixture(scope="session")
def text() -> str:
    """A few kilobytes of English (Dickens, A Tale of Two Cities), as a user's own text."""
    return _TEXT * 8


@pytest.fixture
def corpora() -> Path:
    """The folder with the texts that this repository does not carry."""
    folder = os.environ.get("CHARLOOM_DATA")
    if not folder or not (Path(folder) / "timemachine.txt").exists():
        pytest.skip("needs timemachine.txt: name its folder in CHARLOOM_DATA")
    return Path(folder)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the check of types and shapes, as a user runs: for tests of what the code itself refuses."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
