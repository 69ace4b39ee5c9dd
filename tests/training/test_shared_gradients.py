"""Training in two real processes is that of one on the same minibatches; they stop, fail and resume together."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import process
import several_processes
from charloom.models.folder import CHECKPOINTS
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import checkpoint_files
from charloom.training.processes import Processes
from several_processes import CELLS, PARTITIONINGS, trained

_ALONE = Processes()


def _run(folder: Path, steps: int) -> list[dict[str, Any]]:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", several_processes.__file__]
    done = subprocess.run(
        [sys.executable, *command, folder, str(steps)],
        env=process.environment(folder, GLOO_SOCKET_IFNAME="lo"),
        capture_output=True,
        text=True,
        timeout=process.PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"seen-{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def seen(folder: Path) -> list[dict[str, Any]]:
    """What each of the two processes saw."""
    return _run(folder, 25)


def _assert_as_one(seen: list[dict[str, Any]], cell: str, partitioning: str, steps: int) -> None:
    expected = trained(_ALONE, cell, partitioning, steps)
    for found in (one[f"{cell}, {partitioning}"] for one in seen):
        assert len(found["losses"]) >= steps - 1
        assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert found["history"] == [pytest.approx(record, rel=1e-5) for record in expected["history"]]


@pytest.mark.parametrize("partitioning", PARTITIONINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_two_are_as_one(cell: str, partitioning: str, seen: list[dict[str, Any]]) -> None:
    _assert_as_one(seen, cell, partitioning, 25)


@pytest.mark.slow
def test_two_are_as_one_for_long(tmp_path: Path) -> None:
    seen = _run(tmp_path, 100)
    for cell in CELLS:
        for partitioning in PARTITIONINGS:
            _assert_as_one(seen, cell, partitioning, 100)


def test_what_is_the_same_in_both(seen: list[dict[str, Any]]) -> None:
    """To the last bit, dropout too: they took the same steps."""
    first, second = seen
    for name in ("undisturbed", "resumed", *(f"{cell}, random" for cell in CELLS)):
        assert first[name] == second[name]


def test_one_asks_and_all_stop_after_the_same_step(seen: list[dict[str, Any]]) -> None:
    """The wish goes along with the gradients of the next step."""
    for one in seen:
        assert len(one["begun"]["losses"]) == several_processes.STOP_AFTER + 1
        assert not one["begun"]["history"]


def test_resumed_is_as_if_it_had_not_been_stopped(seen: list[dict[str, Any]]) -> None:
    """To the last bit: state of all lanes, random states of all; the checkpoint is sent to who does not have it."""
    for one in seen:
        undisturbed, resumed = one["undisturbed"], one["resumed"]
        assert resumed["weights"] == undisturbed["weights"]
        assert resumed["history"] == undisturbed["history"]
        assert one["begun"]["losses"] + resumed["losses"] == undisturbed["losses"]


def test_a_run_of_two_goes_on_as_one(folder: Path, seen: list[dict[str, Any]]) -> None:
    """The checkpoint has the state of all lanes."""
    begun = seen[0]["for one"]["losses"]
    assert len(begun) == several_processes.STOP_AFTER + 1
    resumed = trained(_ALONE, "gru", "sequential", 20, folder=folder / "for-one")
    expected = trained(_ALONE, "gru", "sequential", 20)
    assert begun + resumed["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert resumed["history"] == [pytest.approx(record, rel=1e-5) for record in expected["history"]]


def test_who_fails_says_why_and_the_others_end(seen: list[dict[str, Any]]) -> None:
    none, second, both = zip(*(one["failures"] for one in seen), strict=True)
    assert none == ("none", "none")
    assert second[0].startswith("OtherProcessFailedError: process 1")
    assert second[1] == "CorpusError: a reason of 1"
    assert both[0] == "CorpusError: a reason of 0"
    assert both[1].startswith("OtherProcessFailedError: process 0")


def test_processes_that_were_given_different_things_are_refused(seen: list[dict[str, Any]]) -> None:
    """Each would else train on a text or in a way that nobody asked for."""
    for one in seen:
        for what in ("text", "weights", "settings", "checkpoints"):
            assert one["disagreements"][what].startswith(
                f"InputError: the processes that train together differ in their {what}"
            )


def test_a_gradient_that_a_process_lacks_is_zero_there(seen: list[dict[str, Any]]) -> None:
    for one in seen:
        assert one["gradients"] == [[1.5, 1.5], [1.0, 1.0], None, None]


def test_a_process_that_is_gone_is_noticed(seen: list[dict[str, Any]]) -> None:
    message = seen[0]["left alone"]
    assert message.startswith("ProcessLostError: another process of this run ended")
    assert "\n" not in message


def test_the_first_checkpoint_in_another_folder_is_whole(
    folder: Path, seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = checkpoint_files(folder / "moved" / CHECKPOINTS)[0]
    assert Checkpoint.read(first).steps == several_processes.STOP_AFTER + 1
    resumed = trained(_ALONE, "gru", "sequential", 20, folder=first, into=tmp_path)
    expected = trained(_ALONE, "gru", "sequential", 20)
    assert seen[0]["for one"]["losses"] + resumed["losses"] == pytest.approx(expected["losses"], rel=1e-5)
