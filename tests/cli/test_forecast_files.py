"""Files that ``charloom forecast`` may write to, and files that it must not."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from charloom import ModelFolderError, ModelSettings, Vocabulary, build_model, forecasting
from charloom.forecasting import Forecaster, ForecastSettings, fit
from process import PATIENCE, call, start

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
    assert found == f"{Path(target)}: this is the input file; choose another file with {option}"
    assert (home / "two.csv").read_bytes() == before
    assert sorted(home.rglob("*")) == names


@pytest.mark.parametrize("wrong", [("--level", "95"), ("--held-out", "0")])
def test_wrong_option_is_reported_before_existing_file(home: Path, wrong: tuple[str, str]) -> None:
    (home / "two.csv.forecast.png").write_text("")
    assert call(home, "forecast", "two.csv", *wrong).error(2).startswith(f"{wrong[0]} is ")


def test_the_input_by_another_name_is_not_the_output_either(home: Path) -> None:
    found = call(home, "forecast", "folder/by-symlink.csv", *_QUICK, "-f", "--output", "two.csv").error(2)
    assert found.startswith("two.csv: this is the input file")


def test_a_file_on_standard_input_is_refused_as_output(home: Path) -> None:
    before = (home / "two.csv").read_bytes()
    with (home / "two.csv").open("rb") as stream:
        process = start(home, "forecast", "-", *_QUICK, "-f", "--output", "two.csv", stdin=stream.fileno())
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert b"two.csv: this is the input file" in errors
    assert (home / "two.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--output", "new.png", "--plot", "new.png"],
            "new.png: --plot and --output name the same file; choose two different files",
        ),
        (["--output", "new.png", "--plot", "by-folder/./new.png"], "new.png: --plot and --output name the same file"),
        (["--output", "two.csv.forecast.png"], "two.csv.forecast.png: --plot and --output name the same file"),
        (["--output", "old.png", "--plot", "old-link.png"], "old.png: --plot and --output name the same file"),
        (["--output", "new", "--save", "new"], "new: --output and --save name the same file"),
        (["--save", "old.png"], "old.png: this is a file; choose a folder with --save"),
        (["--output", "pipe"], "pipe: not a regular file; choose another file with --output"),
        (["--plot", "x.foo"], "--plot x.foo: the file name must end in .png, .svg or .pdf"),
        (["--plot", "png"], "--plot png: the file name must end in .png, .svg or .pdf"),
    ],
)
def test_results_that_would_be_lost(home: Path, arguments: list[str], message: str) -> None:
    (home / "old.png").write_bytes(b"old")
    os.link(home / "old.png", home / "old-link.png")
    os.mkfifo(home / "pipe")  # not /dev/null: if this test fails, it would replace the machine's
    names = sorted(home.rglob("*"))
    result = call(home, "forecast", "two.csv", *_QUICK, "-f", *arguments)
    assert message in result.error(2)
    assert sorted(home.rglob("*")) == names
    assert (home / "old.png").read_bytes() == b"old"


def test_a_dangling_symlink_is_overwritten_only_if_asked(home: Path) -> None:
    (home / "later.csv").symlink_to("nothing.csv")
    message = "later.csv: the file already exists; use --force to overwrite it"
    assert message in call(home, "forecast", "two.csv", *_QUICK, "--output", "later.csv").error(2)


@pytest.mark.parametrize("kind", ["model", "run", "unknown"])
def test_a_folder_of_another_model_is_kept(home: Path, kind: str) -> None:
    if kind == "run":
        (home / "folder" / "checkpoints").mkdir()
    elif kind == "unknown":
        (home / "folder" / "config.json").write_text("{}")
    else:
        build_model(Vocabulary("ab"), ModelSettings(hidden_size=4)).save(home / "folder")
    before = {file: file.read_bytes() for file in (home / "folder").rglob("*") if file.is_file()}
    assert "folder" in call(home, "forecast", "two.csv", *_QUICK, "-f", "--save", "folder").error(2)
    with pytest.raises(ModelFolderError, match="folder"):
        fit([1.0, 2.0, 4.0, 5.0], ForecastSettings(horizon=1)).save(home / "folder")
    assert {file: file.read_bytes() for file in (home / "folder").rglob("*") if file.is_file()} == before
    assert not (home / "two.csv.forecast.png").exists()


def test_a_forecaster_replaces_another(home: Path) -> None:
    options = ["--method", "naive", "--no-backtest", "--horizon"]
    call(home, "forecast", "two.csv", *options, "2", "--save", "new").done()
    call(home, "forecast", "two.csv", *options, "3", "--save", "new", "-f").done()
    assert Forecaster.load(home / "new").settings.horizon == 3


@pytest.mark.parametrize(
    ("name", "largest", "arguments"),
    [
        ("two.csv.forecast.png", 100, []),
        ("out.csv", 100_000, ["--output", "out.csv", "--horizon", "2000"]),
        ("new", 100, ["--save", "new", "--plot", "empty.svg"]),
    ],
)
def test_a_full_disk_is_reported_with_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, largest: int, arguments: list[str]
) -> None:
    monkeypatch.setattr(forecasting, "draw_forecast", lambda *_: b"x" * (10 if name == "new" else 200))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        result = call(home, "forecast", "two.csv", "--method", "naive", "--no-backtest", *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.error().startswith(f"{name}: ")
    assert "file too large" in result.error().lower()
    assert not (home / "out.csv").exists()


def test_no_picture_is_drawn_beside_a_pipe(home: Path) -> None:
    for plot in ([], ["--plot", "new.png"]):
        reader, writer = os.pipe()
        os.write(writer, (home / "two.csv").read_bytes())
        os.close(writer)
        result = call(home, "forecast", f"/dev/fd/{reader}", *_QUICK, *plot)
        os.close(reader)
        assert ("No plot: standard input and pipes have no file name" in result.done()) == (not plot)
        assert (home / "new.png").exists() == bool(plot)


@pytest.mark.parametrize(
    ("name", "magic"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF-")], ids=["png", "svg", "pdf"]
)
def test_the_picture_has_the_format_of_its_suffix(home: Path, name: str, magic: bytes) -> None:
    out = call(home, "forecast", "two.csv", *_QUICK, "--plot", name).done()
    assert f"Plot saved to {name}" in out
    assert (home / name).read_bytes().startswith(magic)
