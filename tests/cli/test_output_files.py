"""Output paths that are refused before any work; ``test_forecast_files`` has them all in one command."""

from pathlib import Path

import pytest

from charloom import SettingsError
from charloom.cli.output_files import check_targets, picture_format


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("x")
    Path("old.png").write_text("x")
    Path("folder").mkdir()
    Path("link.csv").symlink_to("in.csv")
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("targets", "folder", "force", "message"),
    [
        (["in.csv"], None, True, "in.csv: this is the input file; choose another file with --a"),
        (["link.csv"], None, True, "link.csv: this is the input file"),
        (["new", "./new"], None, True, "new: --a and --b name the same file; choose two different files"),
        (["new"], "new", True, "new: --a and --save name the same file"),
        (
            ["old.png"],
            None,
            False,
            "old.png: the file already exists; use --force to overwrite it, or choose another file with --a",
        ),
        (["folder"], None, True, "folder: this is a folder; choose a file"),
        (["none/new"], None, True, "none: no such folder; create it, or choose another file with --a"),
        (["/dev/null"], None, True, "/dev/null: not a regular file; choose another file with --a"),
        (
            [],
            "folder",
            False,
            "folder: the folder already exists; use --force to overwrite it, or choose another folder with --save",
        ),
        ([], "old.png", True, "old.png: this is a file; choose a folder with --save"),
    ],
)
def test_paths_that_are_refused(targets: list[str], folder: str | None, force: bool, message: str) -> None:
    named = list(zip(("--a", "--b"), map(Path, targets), strict=False))
    with pytest.raises(SettingsError, match=message):
        check_targets("in.csv", named, ("--save", Path(folder)) if folder else None, force=force)


@pytest.mark.usefixtures("home")
def test_paths_that_are_accepted() -> None:
    named = [("--a", Path("new.png")), ("--b", Path("old.png"))]
    check_targets("in.csv", named, ("--save", Path("folder")), force=True)
    check_targets("none.csv", named[:1], ("--save", Path("new")), force=False)


def test_the_format_of_a_picture() -> None:
    assert [picture_format(Path(name)) for name in ("a.svg", "a.PNG", "b.c.pdf")] == ["svg", "png", "pdf"]
    with pytest.raises(SettingsError, match=r"--plot a.jpg: the file name must end in .png, .svg or .pdf"):
        picture_format(Path("a.jpg"))
