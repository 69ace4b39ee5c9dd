"""Fixtures of the whole suite, which checks the types of ``charloom.shapes`` at every call."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# One thread each: tests are small, and concurrent two-thread runs slow each other down.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell ignores Ctrl-C in background jobs, and processes that tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import jaxtyping

from examples import examples

# The output of commands must not depend on the terminal in which the tests run.
_TERMINAL = ("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
for name in (*_TERMINAL, "PYTHONIOENCODING"):
    os.environ.pop(name, None)

# Kernels from another build, with sanitizers (scripts/sanitize), replace the installed ones.
if folder := os.environ.get("CHARLOOM_KERNELS_FOLDER"):
    import torch  # noqa: F401 - first, as in charloom

    for name in ("charloom._kernels", "charloom_codec._codec"):
        (built,) = Path(folder).rglob(f"{name.partition('.')[2]}.*.so")
        spec = importlib.util.spec_from_file_location(name, built)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])

# Before charloom is imported anywhere: the hook rewrites modules as they load. The command line is left out, as
# cyclopts reads its annotations itself.
_CHECKED = [
    "recurrence",
    "layers",
    "text.batching",
    "models.predictor",
    "models.language_model",
    "inference.sampling",
    "inference.generation",
    "inference.evaluation",
]
jaxtyping.install_import_hook([f"charloom.{name}" for name in _CHECKED], "beartype.beartype")

# The duration of an example depends on the machine more than on the code. scripts/test-slow runs more examples.
_PROFILE = hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name())
hypothesis.settings.register_profile("charloom", _PROFILE, deadline=None, max_examples=examples(50))
hypothesis.settings.load_profile("charloom")

import pytest  # noqa: E402

from charloom.text import encoding, sources  # noqa: E402
from charloom.text.encoding import Encoder  # noqa: E402
from long_text import LONG_TEXT  # noqa: E402
from process import SMALL, call, commands_forked, processes_ended  # noqa: E402

if TYPE_CHECKING:
    from forked_workers import ForkedWorker
    from native import Switch

_TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness,\n"
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of\n"
    "Darkness, it was the spring of hope, it was the winter of despair.\n"
)


@pytest.fixture(scope="session")
def text() -> str:
    """Returns a few kilobytes of English (Dickens, A Tale of Two Cities), as a user's own text."""
    return _TEXT * 8


@pytest.fixture
def corpora() -> Path:
    """Returns the folder with the texts that are not in this repository."""
    folder = os.environ.get("CHARLOOM_DATA")
    if not folder or not (Path(folder) / "timemachine.txt").exists():
        pytest.skip("needs timemachine.txt: name its folder in CHARLOOM_DATA")
    return Path(folder)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Disables the check of types and shapes, as for a user: for tests of charloom's own refusals."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


SENTENCE = "the quick brown fox jumps over the lazy dog\n"


@pytest.fixture(autouse=True, scope="session")
def _temporary_files_are_pytests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sends temporary files of killed processes and of PyTorch's launcher to a folder that pytest removes."""
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr("tempfile.tempdir", folder)
        yield


@pytest.fixture(autouse=True, scope="session")
def _commands_are_forked(_temporary_files_are_pytests: None) -> Iterator[None]:
    """Forks commands from one process of each worker; the process starts with the first of them."""
    with commands_forked():
        yield


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    """Ends the processes that a failed test left running."""
    with processes_ended():
        yield


@pytest.fixture(scope="session")
def char_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains a model that memorizes one sentence, by the command; returns its folder."""
    home = tmp_path_factory.mktemp("char")
    (home / "fox.txt").write_text(SENTENCE * 30)
    options = ["--cell", "lstm", "--hidden-size", "32", "--batch-size", "8", "--num-steps", "20", "--epochs", "40"]
    call(home, "train", "fox.txt", *options, "--learning-rate", "0.02", "--dropout", "0", "--output", "model").done()
    return home / "model"


@pytest.fixture(scope="session")
def log_model(char_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of ``char_model`` with a priming of many lines, some of which were held out."""
    from charloom import prepare_codec

    folder = tmp_path_factory.mktemp("log") / "model"
    shutil.copytree(char_model, folder)
    prepare_codec(folder, seen=SENTENCE.encode() * 300, held_out=SENTENCE.encode() * 30)
    return folder


@pytest.fixture(scope="session")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains a byte model of a binary file; returns its folder."""
    home = tmp_path_factory.mktemp("byte")
    (home / "file.bin").write_bytes(bytes(range(256)) * 8)
    call(home, "train", "file.bin", "--unit", "byte", *SMALL, "--epochs", "3", "--output", "model").done()
    return home / "model"


@pytest.fixture
def kept_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets up a cache for this test only, for texts of more than 100 bytes, including files of the last seconds."""
    monkeypatch.setenv("CHARLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_SETTLED_NANOSECONDS", -(10**18))
    monkeypatch.setattr(encoding, "MAX_IN_MEMORY", 100)
    return tmp_path / "cache" / "texts"


@pytest.fixture
def forked_workers() -> "Iterator[list[ForkedWorker]]":
    """Forks the workers of sweeps, which is faster than to start them."""
    from forked_workers import workers_forked  # here, as it imports much that most tests do without

    with workers_forked() as workers:
        yield workers


@pytest.fixture
def kept_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opens the engines of the models of the package once for all tests that use this fixture."""
    from kept_engines import open_engine  # here, as it imports the codec's native module

    monkeypatch.setattr("charloom_codec.format.opening.open_engine", open_engine)


@pytest.fixture
def compute_by() -> "Iterator[Switch]":
    """Chooses the backend until the test ends."""
    from native import switching  # here, as it imports PyTorch

    with switching() as switch:
        yield switch


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mounts a file system of 256 kB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs permission to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def long_text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(LONG_TEXT)
    return path


@pytest.fixture
def encoded_chunks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list to which each chunk that is encoded during the test adds its first characters."""
    chunks: list[str] = []
    encode = Encoder.encode

    def spy(self: Encoder, chunk: str | bytes) -> None:
        chunks.append(str(chunk[:5]))
        encode(self, chunk)

    monkeypatch.setattr(Encoder, "encode", spy)
    return chunks
