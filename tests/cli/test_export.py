"""``charloom export``."""

import sys
from pathlib import Path

import pytest
import torch

import charloom
from onnx_session import OnnxSession, assert_equal_in_onnx
from process import call


def test_a_model_in_the_current_folder(char_model: Path, tmp_path: Path) -> None:
    assert call(tmp_path, "export", char_model, "--to", "onnx").done() == "Saved model.onnx\n"
    model = charloom.LanguageModel.load(char_model)
    ids = torch.arange(len(model.vocabulary))[None]
    assert_equal_in_onnx(model, OnnxSession(tmp_path / "model.onnx"), ids)


def test_a_page(char_model: Path, tmp_path: Path) -> None:
    assert call(tmp_path, "export", char_model, "--to", "html").done() == "Saved model.html\n"
    model = charloom.LanguageModel.load(char_model)
    charloom.export_html(model, tmp_path / "same.html")
    assert (tmp_path / "model.html").read_bytes() == (tmp_path / "same.html").read_bytes()
    options = ["--precision", "int8", "--title", "A < B", "-o", "small.html"]
    assert call(tmp_path, "export", char_model, "--to", "html", *options).done() == "Saved small.html\n"
    assert "<title>A &lt; B</title>" in (tmp_path / "small.html").read_text()
    assert (tmp_path / "small.html").stat().st_size < (tmp_path / "model.html").stat().st_size
    call(tmp_path, "export", char_model, "--to", "html", "--prefix", "fox jumps", "--force").done()
    charloom.export_html(model, tmp_path / "same.html", prefix="fox jumps", force=True)
    assert (tmp_path / "model.html").read_bytes() == (tmp_path / "same.html").read_bytes()
    assert '"prefix": "fox jumps"' in (tmp_path / "model.html").read_text()
    for option in (["--precision", "int8"], ["--title", "A"], ["--prefix", "A"]):
        message = call(tmp_path, "export", char_model, "--to", "onnx", *option).error(2)
        assert message == f"{option[0]} has an effect on HTML files only: omit it, or use --to html"


def test_a_prefix_that_the_model_does_not_know(char_model: Path, byte_model: Path, tmp_path: Path) -> None:
    """The error is that of ``generate``, without the option --unknown, which ``export`` does not have."""
    words = [str(char_model), "--prefix", "fox\u2603"]
    message, _, hint = call(tmp_path, "export", *words, "--to", "html").error().partition("; ")
    assert message == call(tmp_path, "generate", *words).error().partition("; ")[0]
    assert message == "not in the model's vocabulary: '\u2603' (U+2603, position 3)"
    assert hint == "omit these characters from --prefix"
    assert not [*tmp_path.iterdir()]
    call(tmp_path, "export", byte_model, "--prefix", "fox\u2603", "--to", "html").done()
    refused = call(tmp_path, "export", byte_model, "--prefix", "fox\udcff", "--to", "html", "--force")
    assert refused.status == 2
    assert "must be text, without bytes that are not UTF-8" in refused.errors


def test_a_model_of_the_package(tmp_path: Path) -> None:
    call(tmp_path, "export", "english", "--to", "onnx").done()
    assert OnnxSession(tmp_path / "english.onnx").metadata["cell"] == "lstm"
    call(tmp_path, "export", "english", "--to", "html").done()
    assert '"prefix": "A smile curved Lord Henry\\u2019s lips, and he"' in (tmp_path / "english.html").read_text()


def test_existing_files(char_model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_text("mine")
    words = ["export", str(char_model), "--to", "onnx", "-o", "mine.onnx"]
    assert call(tmp_path, *words).error(2).startswith("mine.onnx: the file already exists; use --force to overwrite it")
    assert (tmp_path / "mine.onnx").read_text() == "mine"
    call(tmp_path, *words, "-f").done()
    assert OnnxSession(tmp_path / "mine.onnx").metadata


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["none", "--to", "onnx"], 1, "none: no such model folder"),
        (["MODEL"], 2, "--to is missing: pass a format (see --help)"),
        (["MODEL", "--to", "pt"], 2, "--to is 'pt': choose one of "),
        (["MODEL", "--to", "onnx", "-o", "none/model.onnx"], 2, "none: no such folder"),
        (["MODEL", "--to", "onnx", "-o", "."], 2, ".: this is a folder; choose a file with --output"),
    ],
)
def test_wrong_calls(words: list[str], status: int, message: str, char_model: Path, tmp_path: Path) -> None:
    given = [str(char_model) if word == "MODEL" else word for word in words]
    assert call(tmp_path, "export", *given).error(status).startswith(message)
    assert not [*tmp_path.iterdir()]


def test_the_package_onnx_is_optional(char_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charloom.export_onnx(torch.nn.GRU(2, 3), tmp_path / "first.onnx")  # which imports the module
    monkeypatch.delattr("charloom.export.onnx_graph")
    monkeypatch.delitem(sys.modules, "charloom.export.onnx_graph")
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = call(tmp_path, "export", char_model, "--to", "onnx").error(2)
    assert message == "onnx is not installed; install it with pip install 'charloom[onnx]'"
