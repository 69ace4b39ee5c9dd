"""``charloom compress --report``: figures that equal the sizes of real files, and a picture."""

from pathlib import Path

import pytest

from charloom.inference.compression_report import Row, report_compression, size_of_model
from charloom_codec.codec import Codec
from charloom_codec.engines.engine import Engine
from fake_engines import ZlibEngine
from process import call, run

_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 60


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_engine(_: Path, *, fast: bool, **_others: object) -> Engine:
        return ZlibEngine("fast" if fast else "mixing", start=b"" if fast else _TEXT[:45])

    monkeypatch.setattr("charloom_codec.format.opening.open_engine", open_engine)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fox.txt").write_bytes(_TEXT)
    return tmp_path


def test_the_table_and_the_picture(home: Path, char_model: Path) -> None:
    table = call(home, "compress", "--report", "fox.txt", "-m", char_model).done()
    rows = {line.split("  ")[0]: line for line in table.splitlines()}
    for mode, name in (("mixing", "charloom"), ("fast", "charloom --fast")):
        engine = ZlibEngine(mode, start=b"" if mode == "fast" else _TEXT[:45])  # type: ignore[arg-type]
        size = len(Codec(engine).compress(_TEXT))
        assert f" {size:,} " in rows[name]
        assert f"{8 * size / len(_TEXT):.4f}" in rows[name]
    peers = {"gzip -9", "bzip2 -9", "xz -9e", "zstd -19", "brotli -q 11", "7z PPMd", "zpaq -m5"}
    assert {"cross-entropy of the network", *peers} <= set(rows)
    assert "break-even" in table
    assert f"{size_of_model(char_model):,}" in table
    picture = home / "fox.txt.compression.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "use --force to overwrite it" in call(home, "compress", "--report", "fox.txt", "-m", char_model).error(2)
    call(home, "compress", "--report", "fox.txt", "-m", char_model, "--plot", "other.png").done()
    assert (home / "other.png").exists()
    assert sorted(file.name for file in home.iterdir()) == ["fox.txt", "fox.txt.compression.png", "other.png"]


def test_a_compressor_that_is_missing_or_fails(home: Path, char_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charloom.inference.baselines.shutil.which", lambda name: {"zstd": "/bin/false"}.get(name))
    table = call(home, "compress", "--report", "fox.txt", "-m", char_model).done()
    notes = {line.split("  ")[0]: line.rstrip().rpartition("  ")[2] for line in table.splitlines()}
    for name in ("zstd -19", "brotli -q 11"):  # the first fails, and the second is missing
        assert notes[name] == "not available, or failed"


def test_bytes_that_are_not_utf8(home: Path, char_model: Path) -> None:
    (home / "x").write_bytes(b"\xff\x00" * 50)
    table = call(home, "compress", "--report", "x", "-m", char_model).done()
    (entropy,) = [line for line in table.splitlines() if line.startswith("cross-entropy")]
    assert "not UTF-8 at byte 0" in entropy
    assert "the model reads characters" in entropy


def test_refusals(home: Path, char_model: Path) -> None:
    (home / "empty").write_bytes(b"")
    message = call(home, "compress", "--report", "empty", "-m", char_model).error()
    assert message == "empty: the file is empty; pass a file with text"
    assert "requires --plot" in call(home, "compress", "--report", "-", "-m", char_model).error(2)
    assert "a single file" in call(home, "compress", "--report", "fox.txt", "-o", "x", "-m", char_model).error(2)


@pytest.mark.parametrize(("suffix", "magic"), [("svg", b"<?xml"), ("pdf", b"%PDF-"), ("PNG", b"\x89PNG")])
def test_the_picture_has_the_format_of_its_suffix(suffix: str, magic: bytes, home: Path, char_model: Path) -> None:
    call(home, "compress", "--report", "fox.txt", "-m", char_model, "--plot", f"picture.{suffix}").done()
    assert (home / f"picture.{suffix}").read_bytes().startswith(magic)


@pytest.mark.parametrize("name", ["picture.jpg", "picture", ".png", "picture.svgz"])
def test_other_formats_of_pictures_are_refused_before_any_measurement(
    name: str, home: Path, char_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("charloom.inference.compression_report.report_compression")
    result = call(home, "compress", "--report", "fox.txt", "-m", char_model, "--plot", name)
    assert f"--plot {name}: the file name must end in .png, .svg or .pdf" in result.error(2)


def test_a_folder_is_refused_with_its_name(home: Path, char_model: Path) -> None:
    message = call(home, "compress", "--report", ".", "-m", char_model, "--plot", "picture.png").error()
    assert message == ".: this is a folder; pass a file in it, or use --recursive"


@pytest.mark.parametrize("absent", ["torch", "matplotlib"])
def test_a_missing_library(absent: str, home: Path, char_model: Path) -> None:
    """A real process that cannot import it and has only charloom's own compression engines."""
    (home / "sitecustomize.py").write_text(f"import sys\nsys.modules[{absent!r}] = None\n")
    result = run(home, "compress", "--report", "fox.txt", "-m", char_model, PYTHONPATH=str(home))
    assert "gzip -9" in result.out
    if absent == "torch":
        assert "cross-entropy of the network" in result.done()
        assert "needs PyTorch, which is not installed" in result.out
        assert (home / "fox.txt.compression.png").exists()
    else:
        assert "no plot was drawn: matplotlib is not installed" in result.error()
        assert not (home / "fox.txt.compression.png").exists()


def test_the_report_as_json(char_model: Path) -> None:
    report = report_compression(_TEXT, char_model)
    rows = {row.name: row for row in report.rows}
    assert report.num_bytes == report.num_chars == len(_TEXT)
    entropy = rows["cross-entropy of the network"].num_bytes
    assert entropy is not None
    assert 0 < entropy < len(_TEXT) / 8
    assert report.best in (rows["charloom"], rows["charloom --fast"])
    assert isinstance(rows["gzip -9"], Row)
