"""What ``charloom forecast`` may write to, and what it must not."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from process import PATIENCE, call, environment

_QUICK = ["--horizon", "6", "--members", "2", "--epochs", "1", "--hidden-size", "4", "--no-backtest"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    values = 20 + np.random.default_rng(0).normal(0, 0.3, 40)
    (tmp_path / "two.csv").write_text("v\n" + "".join(f"{value:.3f}\n" for value in values))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "by-symlink.csv").symlink_to("../two.csv")
    (tmp_path / "by-folder").symlink_to(".")
    os.link(tmp_path / "two.csv", tmp_path / "by-hard-link.csv")
    (tmp_path / "by-symlink.png").symlink_to("two.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("option", "target"),
    [
        ("--output", "two.csv"),
        ("--output", "./folder/../two.csv"),
        ("--output", "folder/by-symlink.csv"),
        ("--output", "by-folder/two.csv"),
        ("--output", "by-hard-link.csv"),
        ("--plot", "two.csv"),
        ("--plot", "by-symlink.png"),
        ("--save", "two.csv"),
    ],
)
def test_the_input_is_never_the_output(home: Path, option: str, target: str) -> None:
    before = (home / "two.csv").read_bytes()
    names = sorted(home.rglob("*"))
    found = call(home, "forecast", "two.csv", *_QUICK, "-f", option, target).error(2)
    assert found == f"{Path(target)}: the input is the output; name another file with {option}"
    assert (home / "two.csv").read_bytes() == before
    assert sorted(home.rglob("*")) == names


def test_the_input_by_another_name_is_not_the_output_either(home: Path) -> None:
    found = call(home, "forecast", "folder/by-symlink.csv", *_QUICK, "-f", "--output", "two.csv").error(2)
    assert found.startswith("two.csv: the input is the output")


def test_a_file_on_standard_input_is_not_the_output_either(home: Path) -> None:
    before = (home / "two.csv").read_bytes()
    with (home / "two.csv").open("rb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "charloom", "forecast", "-", *_QUICK, "-f", "--output", "two.csv"],
            stdin=stream,
            capture_output=True,
            cwd=home,
            env=environment(home),
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 2
    assert b"two.csv: the input is the output" in done.stderr
    assert (home / "two.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "new.png", "--plot", "new.png"], "new.png: --plot and --output name the same file; name two"),
        (["--output", "new.png", "--plot", "by-folder/./new.png"], "new.png: --plot and --output name the same file"),
        (["--output", "two.csv.forecast.png"], "two.csv.forecast.png: --plot and --output name the same file"),
        (["--output", "old.png", "--plot", "old-link.png"], "old.png: --plot and --output name the same file"),
        (["--output", "new", "--save", "new"], "new: --output and --save name the same file"),
        (["--save", "old.png"], "old.png: a file; name a folder with --save"),
        (["--output", "pipe"], "pipe: not a file that can be replaced; name another with --output"),
        (["--plot", "x.foo"], "--plot x.foo: its name must end in .png, .svg or .pdf"),
        (["--plot", "png"], "--plot png: its name must end in .png, .svg or .pdf"),
    ],
)
def test_results_that_would_be_lost(home: Path, arguments: list[str], message: str) -> None:
    (home / "old.png").write_bytes(b"old")
    os.link(home / "old.png", home / "old-link.png")
    os.mkfifo(home / "pipe")  # not /dev/null: where this fails, the machine would lose it
    names = sorted(home.rglob("*"))
    result = call(home, "forecast", "two.csv", *_QUICK, "-f", *arguments)
    assert message in result.error(2)
    assert sorted(home.rglob("*")) == names
    assert (home / "old.png").read_bytes() == b"old"


def test_a_symlink_to_nothing_is_not_overwritten_unasked(home: Path) -> None:
    (home / "later.csv").symlink_to("nothing.csv")
    message = "later.csv: there is a file already; --force overwrites it"
    assert message in call(home, "forecast", "two.csv", *_QUICK, "--output", "later.csv").error(2)


@pytest.mark.parametrize(
    ("name", "beginning"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF-")], ids=["png", "svg", "pdf"]
)
def test_the_picture_is_what_its_name_says(home: Path, name: str, beginning: bytes) -> None:
    out = call(home, "forecast", "two.csv", *_QUICK, "--plot", name).done()
    assert f"Drawn in {name}" in out
    assert (home / name).read_bytes().startswith(beginning)
