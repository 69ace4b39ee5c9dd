"""Histories that a run writes meanwhile, and files that are none."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from charloom import EpochRecord
from charloom.serving.history_file import read_history


def _line(epoch: object = 1, **values: Any) -> str:
    record = {"epoch": epoch, "perplexity": 9.0, "validation_perplexity": 8.0, "seconds": 1.0, "chars_per_second": 2.0}
    return json.dumps(record | values) + "\n"


def test_records(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    assert read_history(file) == ([], "")
    records = [EpochRecord(1, 9.0, 8.0, 1.5, 100.0), EpochRecord(2, math.inf, 7.0, 3.0, 100.0, True)]
    file.write_text("".join(record.to_json() + "\n" for record in records))
    assert read_history(file) == (records, "")
    unvalidated = [EpochRecord(1, 9.0, None, 1.5, 100.0)]
    file.write_text(unvalidated[0].to_json() + "\n" + _line(2)[:20])  # the second line is being written
    assert read_history(file) == (unvalidated, "")


@pytest.mark.parametrize(
    "line",
    [
        *("\n", "{\n", "[1]\n", "3\n", "{}\n", "[" * 100_000 + "\n", "\udcff\n", "\x00\n"),
        *(_line("1"), _line(None), _line(math.nan), _line(math.inf), _line(0), _line(-1), _line(10**12), _line([])),
        *(_line(2, perplexity="9"), _line(2, seconds={}), _line(2, perplexity=10**400)),
    ],
)
def test_lines_that_are_no_records(line: str, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes((_line(1) + line + _line(2)).encode("utf-8", "surrogateescape"))
    history, note = read_history(file)
    assert [record.epoch for record in history] == [1, 2]
    assert note == "1 line of history.jsonl cannot be read."


def test_nan(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(_line(1) + _line(2, perplexity=math.nan, validation_perplexity=None))
    history, note = read_history(file)
    assert math.isnan(history[1].perplexity)
    assert history[1].validation_perplexity == math.inf
    assert note == ""


def test_long_files(tmp_path: Path) -> None:
    """Draws part of a long run, with the best and the last epoch; does not read a huge file."""
    file = tmp_path / "history.jsonl"
    values = [7.0 if epoch == 6_001 else 8.0 for epoch in range(1, 12_003)]
    file.write_text("".join(_line(epoch, validation_perplexity=value) for epoch, value in enumerate(values, 1)))
    history, note = read_history(file)
    assert len(history) <= 5_002
    assert (history[0].epoch, history[-1].epoch, history.best.epoch if history.best else 0) == (1, 12_002, 6_001)
    assert note == ""
    with file.open("ab") as stream:
        stream.truncate(10**11)  # sparse
    assert read_history(file) == ([], "history.jsonl is larger than 16 MiB, and is not shown.")


def test_files_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        history, note = read_history(tmp_path / name)
        assert history == []
        assert note.startswith(f"{name} cannot be read")
