"""Data frames, with pandas and without."""

import sys

import pytest

from charloom import CharloomError
from charloom.io.frames import make_frame


def test_columns_keep_their_order_and_types() -> None:
    frame = make_frame({"b": [1, 2], "a": [0.5, float("nan")]})
    assert list(frame.columns) == ["b", "a"]
    assert [str(kind) for kind in frame.dtypes] == ["int64", "float64"]


def test_without_pandas_an_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CharloomError, match=r"^a DataFrame requires pandas; install it with pip install pandas$"):
        make_frame({})
