import json
from pathlib import Path

import pytest
import torch

from charloom import (
    CharloomWarning,
    EpochRecord,
    History,
    LanguageModel,
    ModelFolderError,
    ModelSettings,
    Vocabulary,
    build_model,
)
from charloom.layers import RNN
from charloom.runs.folder import RunFolder, plot_history
from charloom.training.events import EpochEnded
from charloom_codec.model.priming import Priming

_MODEL = build_model(Vocabulary(["a"]), ModelSettings(hidden_size=2))


def _record(epoch: int, validation: float | None = None) -> EpochRecord:
    return EpochRecord(epoch, 10.0 / epoch, validation, 1.5 * epoch, 1000.0)


def test_history_is_written_during_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.acquire()
    for epoch in (1, 2):
        folder(EpochEnded(_record(epoch, 9.0), epoch))
        lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, epoch + 1))
    assert json.loads(lines[1]) == {
        "epoch": 2,
        "perplexity": 5.0,
        "validation_perplexity": 9.0,
        "seconds": 3.0,
        "chars_per_second": 1000.0,
    }
    folder.finish(_MODEL)
    assert folder.files == [
        "codec.safetensors",
        "config.json",
        "history.jsonl",
        "history.png",
        "model.safetensors",
    ]
    folder.release()
    with pytest.raises(ModelFolderError, match="already contains a model"):
        RunFolder(folder.path).acquire()
    again = RunFolder(folder.path)
    again.acquire(force=True)
    with pytest.raises(ModelFolderError, match="another run is using this folder"):
        RunFolder(folder.path).acquire(force=True)
    again.prepare()
    assert len((folder.path / "history.jsonl").read_text().splitlines()) == 2
    again(EpochEnded(_record(1), 1))
    assert len((folder.path / "history.jsonl").read_text().splitlines()) == 1
    again.release()


def test_an_empty_folder_that_existed_before_is_kept(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.acquire()
    folder.release()
    assert list(tmp_path.iterdir()) == []


def test_only_an_empty_folder_is_discarded(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "run")
    folder.acquire()
    folder.release()
    assert not folder.path.exists()
    folder.acquire()
    (folder.path / "notes.txt").write_text("mine")
    folder.release()
    assert (folder.path / "notes.txt").exists()


def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFolderError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "run").acquire()


@pytest.mark.parametrize("records", [[_record(1)], [_record(1, 3.0)], [_record(e, 2.0 + e) for e in range(1, 30)]])
def test_plot_is_a_picture(records: list[EpochRecord]) -> None:
    plain = plot_history(History(records))
    assert plain.startswith(b"\x89PNG\r\n")
    assert (plot_history(History(records), 1) != plain) == (len(records) > 1)  # marked unless it is the last


def test_the_history_of_an_overwritten_run_is_removed(tmp_path: Path) -> None:
    """A run that is stopped in its first epoch leaves its model without another run's curves."""
    folder = RunFolder(tmp_path)
    folder(EpochEnded(_record(1), 1))
    folder.finish(_MODEL)
    RunFolder(tmp_path).finish(_MODEL)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["codec.safetensors", "config.json", "model.safetensors"]


def test_the_priming_is_of_the_training_text(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.finish(_MODEL, (b"a" * 10, b"a" * 3))
    assert Priming.load(tmp_path) == Priming(b"a" * 13, 10)
    _MODEL.save(tmp_path)  # the same weights: data compressed with them can still be decompressed
    assert Priming.load(tmp_path).text
    other = build_model(Vocabulary(["a"]), ModelSettings(hidden_size=2), seed=5)
    other.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_a_model_that_compression_does_not_support_is_saved(tmp_path: Path) -> None:
    layer = RNN(2, 2)
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").fill_(1e30)
    with pytest.warns(CharloomWarning, match="the model is saved, but cannot be used for compression"):
        RunFolder(tmp_path).finish(LanguageModel(layer, Vocabulary(["a"])))
    assert (tmp_path / "model.safetensors").exists()


def test_infinite_perplexity_is_plotted_and_written() -> None:
    record = EpochRecord(1, float("inf"), None, 1.0, 1.0)
    assert plot_history(History([record, _record(2)])).startswith(b"\x89PNG")
    assert json.loads(record.to_json())["perplexity"] is None


def test_a_model_of_too_many_layers_for_compression_has_its_curve(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder(EpochEnded(_record(1), 1))
    deep = build_model(Vocabulary(["a"]), ModelSettings(hidden_size=2, num_layers=65))
    with pytest.warns(
        CharloomWarning, match="the model is saved, but cannot be used for compression: num_layers is 65: too large"
    ):
        folder.finish(deep)
    assert folder.files == ["config.json", "history.jsonl", "history.png", "model.safetensors"]
