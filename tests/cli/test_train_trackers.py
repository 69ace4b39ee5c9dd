"""``charloom train --tensorboard`` and ``--wandb``, as real processes; Weights & Biases without a network."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from process import SMALL, Result, call, run

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20
_OPTIONS = [*SMALL, "--epochs", "2", "--prefix", "A fox", "--sample-every", "1", "--validation-fraction", "0.1"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fable.txt").write_text(_TEXT, encoding="utf-8")
    return tmp_path


def _epochs_of(folder: Path) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return [point.value for point in EventAccumulator(str(folder)).Reload().Scalars("epoch")]


def test_tensorboard_continues_with_the_resumed_run(home: Path) -> None:
    pytest.importorskip("tensorboard")
    call(home, "train", "fable.txt", *_OPTIONS, "--output", "model", "--tensorboard").done()
    assert _epochs_of(home / "model") == [1, 2]
    call(home, "train", "--resume", "model", "--epochs", "3").done()
    assert _epochs_of(home / "model") == [1, 2, 3]
    assert "Nothing to do" in call(home, "train", "--resume", "model", "--epochs", "3").done()
    assert _epochs_of(home / "model") == [1, 2, 3]
    call(home, "train", "--resume", "model", "--epochs", "4", "--no-tensorboard").done()
    assert _epochs_of(home / "model") == [1, 2, 3]


def _offline_records(home: Path) -> list[Any]:
    """Returns the records that Weights & Biases wrote: a log in LevelDB's format after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    records = []
    for file in sorted(home.glob("wandb/offline-run-*/run-*.wandb")):
        data, at, parts = file.read_bytes(), 7, b""
        while at + 7 <= len(data):
            if 32768 - at % 32768 < 7:
                at += 32768 - at % 32768
                continue
            _, length, kind = struct.unpack_from("<IHB", data, at)
            parts += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # a full or a last record
                records.append(Record.FromString(parts))
                parts = b""
    return records


def _logged(records: list[Any], name: str) -> list[tuple[int, Any]]:
    items = [record.history.item for record in records]
    rows = [{".".join(item.nested_key) or item.key: item.value_json for item in row} for row in items]
    return [(int(row["_step"]), json.loads(row[name])) for row in rows if name in row]


def _with_wandb(home: Path, *arguments: str, **variables: str) -> Result:
    variables = {"WANDB_MODE": "offline", "WANDB_API_KEY": ""} | variables
    return run(home, "train", *arguments, new=True, stdin=b"", **variables)


@pytest.mark.slow
def test_weights_and_biases_continues_with_the_resumed_run(home: Path) -> None:
    pytest.importorskip("wandb")
    first = _with_wandb(home, "fable.txt", *_OPTIONS, "--output", "model", "--wandb")
    assert first.status == 0, first
    records = _offline_records(home)
    (started,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (started.project, started.display_name) == ("charloom", "model")
    config = {item.key: json.loads(item.value_json) for item in started.config.update}
    assert config["model.cell"] == "gru"
    assert config["training.epochs"] == 2
    history = [json.loads(line) for line in (home / "model" / "history.jsonl").read_text().splitlines()]
    assert _logged(records, "epoch") == [(34, 1), (68, 2)]
    validation = [value for _, value in _logged(records, "perplexity/validation")]
    assert validation == [record["validation_perplexity"] for record in history]
    ends = [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"]
    assert ends == [0]

    second = _with_wandb(home, "--resume", "model", "--epochs", "3", "--wandb")
    assert second.status == 0, second
    runs = [record.run for record in _offline_records(home) if record.WhichOneof("record_type") == "run"]
    assert [run.run_id for run in runs] == [started.run_id] * 2
    assert _logged(_offline_records(home), "epoch") == [(34, 1), (68, 2), (102, 3)]
    call(home, "train", "--resume", "model", "--epochs", "4").done()  # data leaves the machine only if asked
    assert len(_logged(_offline_records(home), "epoch")) == 3


def test_without_a_key(home: Path) -> None:
    pytest.importorskip("wandb")
    result = _with_wandb(home, "fable.txt", *_OPTIONS, "--output", "model", "--wandb", WANDB_MODE="online")
    last = result.errors.splitlines()[-1]
    assert result.status == 1
    assert last.startswith("charloom: error: Weights & Biases: ")
    assert last.endswith("; set WANDB_MODE=offline to log to a local folder")
    assert "Traceback" not in result.errors
    assert not (home / "model").exists()


@pytest.mark.parametrize("program", ["tensorboard", "wandb"])
def test_a_missing_tracker(home: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charloom.cli.trackers.find_spec", lambda _: None)
    message = call(home, "train", "fable.txt", *_OPTIONS, "--output", "model", f"--{program}").error(2)
    assert message == f"{program} is not installed; install it with pip install 'charloom[{program}]'"
    assert not (home / "model").exists()
