"""A folder of a run in progress has no model yet."""

from pathlib import Path

from charloom.io.lock import FolderLock
from process import call


def test_the_advice_is_to_wait(tmp_path: Path) -> None:
    (tmp_path / "model" / "checkpoints").mkdir(parents=True)
    assert "--resume" in call(tmp_path, "generate", "model").error()
    with FolderLock(tmp_path / "model", "a run"):
        message = call(tmp_path, "generate", "model").error()
    assert "a training run is in progress and will save it" in message
    assert "--resume" not in message
