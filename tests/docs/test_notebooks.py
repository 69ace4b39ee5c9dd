"""The page on notebooks: its cells run in a real kernel and show HTML, which IPython finds."""

import re
from pathlib import Path
from typing import Any

import pytest

import charloom
from html_fragments import parse, text_of

_PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "notebooks.md"
_BLOCKS = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TEXT = "It was the best of times, it was the worst of times, <it> was the age of wisdom & of foolishness.\n"
_MORE = (
    "charloom.evaluate_chunks(model, charloom.split_chars(text))",
    "charloom.evaluate_lines(model, text, top=2)",
    "charloom.evaluate(model, text)",
    "charloom.check_novelty(text, corpus.text)",
    "charloom.forecasting.backtest(range(40), horizon=3)",
    "charloom.forecasting.fit(range(40), horizon=3).forecast()",
    "model",
)
"""Cells for the rows of the page's table, after its blocks."""


def test_the_cells_of_the_page_show_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat: Any = pytest.importorskip("nbformat")
    nbclient: Any = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name, times in (("mybook.txt", 40), ("chapter.txt", 3)):
        (tmp_path / name).write_text(_TEXT * times)
    blocks = _BLOCKS.findall(_PAGE.read_text(encoding="utf-8"))
    cells = [nbformat.v4.new_code_cell(source) for source in (*blocks, *_MORE)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [[output["data"]["text/html"] for output in cell.outputs if "data" in output] for cell in cells]
    training, evaluating, frames, *more = shown
    # The bar, replaced while the function runs, then the value of the cell.
    assert "training100% epoch 3" in text_of(training[0])
    assert "<svg" in training[1]
    assert "evaluating100%" in text_of(evaluating[0])
    assert text_of(evaluating[1]) == _TEXT * 2
    assert not frames
    for fragments in (training, evaluating, *more):
        assert all(len(parse(fragment)) == 1 for fragment in fragments)
    assert [len(fragments) for fragments in more] == [1] * len(_MORE)


def test_ipython_finds_the_html() -> None:
    formatters: Any = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(charloom.History())
    assert data["text/html"] == charloom.History()._repr_html_()
    assert data["text/plain"] == "[]"


def test_every_frame_is_on_the_page() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    of_package = {name: getattr(charloom, name) for name in dir(charloom)}
    of_forecasting = {name: getattr(charloom.forecasting, name) for name in charloom.forecasting.__all__}
    for name, found in (of_package | of_forecasting).items():
        if isinstance(found, type) and hasattr(found, "to_frame"):
            assert f"`{name}.to_frame(" in page
