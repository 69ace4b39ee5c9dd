"""``charloom train``: faults that must not cost a model, as real processes if the process is the point."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import charloom
from charloom_codec.cli.screen import printable
from process import SMALL, call, environment, run

pytestmark = pytest.mark.slow

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fable.txt").write_text(_TEXT, encoding="utf-8")
    return tmp_path


def test_names_that_are_not_utf8(home: Path) -> None:
    """Bytes of a file's name and of a prefix are stored in the model's folder and do not prevent saving."""
    name = os.fsdecode(b"caf\xe9.txt")
    (home / name).write_text(_TEXT, encoding="utf-8")
    prefix = os.fsdecode(b"\xff")
    result = call(home, "train", name, *SMALL, "--epochs", "1", "--prefix", prefix, "--output", "model")
    assert result.status == 0, result
    provenance = charloom.LanguageModel.load(home / "model").provenance
    assert provenance["corpus"]["name"] == name
    assert provenance["training"]["prefix"] == [prefix]


def test_a_full_standard_output_is_reported_in_one_line(home: Path) -> None:
    """Nothing was trained, and no file is left."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "charloom", "train", "fable.txt", *SMALL, "--epochs", "1", "--output", "model"]
    variables = environment(home, PYTHONUNBUFFERED="")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=home, env=variables, check=False)
    assert (done.returncode, done.stderr) == (1, b"charloom: error: no space left on device\n")
    assert not (home / "model").exists()


def test_no_folder_is_left_if_training_never_started(home: Path) -> None:
    call(home, "train", "fable.txt", *SMALL, "--device", "abacus", "--output", "model").error(2)
    assert [file.name for file in home.iterdir()] == ["fable.txt"]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--learning-rate", "1e300"], 2, "--learning-rate is 1e+300"),
        (["--optimizer", "sgd", "--learning-rate", "1e300"], 2, "--learning-rate is 1e+300"),
        (["--threads", "1000000"], 2, "--threads is 1000000"),
        (["--epochs", "1.5"], 2, "1.5"),
        (["--num-layers", "2.0e999"], 2, "--num-layers"),
    ],
)
def test_numbers_beyond_pytorchs_limits(options: list[str], status: int, message: str, home: Path) -> None:
    """As processes: some of them would end the interpreter."""
    epochs = [] if "--epochs" in options else ["--epochs", "1"]
    assert message in run(home, "train", "fable.txt", *SMALL, *epochs, *options, "--output", "model").error(status)


def test_a_fraction_in_a_recipe_is_refused(home: Path) -> None:
    (home / "mine.toml").write_text("[model]\nhidden_size = 16.5\n")
    message = call(home, "train", "fable.txt", "--recipe", "mine.toml", "--output", "model").error(2)
    assert message == "recipe mine.toml: [model] hidden_size is 16.5: it must be an integer, at least 1"


@pytest.mark.parametrize("start", [b"\0" * 20, b"\xff" * 20], ids=["control", "no-utf8"])
def test_the_suggested_command_runs(start: bytes, home: Path) -> None:
    """A shell can run the command of the last line, for any bytes of the text."""
    (home / "file.bin").write_bytes(start + bytes(range(128, 256)) * 8)
    out = call(home, "train", "file.bin", "--unit", "byte", *SMALL, "--epochs", "1").done()
    assert printable(out) == out
    (line,) = [line for line in out.splitlines() if line.startswith("Next: charloom ")]
    words = shlex.split(line.removeprefix("Next: charloom "))
    assert call(home, *words, "--num-chars", "5").raw_out[:-5] == start


def test_the_note_on_a_prefix_names_only_options_of_train(home: Path) -> None:
    result = call(home, "train", "fable.txt", *SMALL, "--epochs", "1", "--prefix", "Zebra", "--output", "model")
    (note,) = result.errors.splitlines()
    assert note.startswith("charloom: warning: no samples for the prefix 'Zebra'")
    assert "--unknown" not in note
