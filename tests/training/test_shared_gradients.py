"""Training in two real processes equals that in one on the same minibatches; they stop, fail and resume together."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import process
import several_processes
from charloom.models.folder import CHECKPOINT_FOLDER
from charloom.training.checkpoints.checkpoint import Checkpoint
from charloom.training.checkpoints.folder import list_checkpoint_files
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
    """The records of the two processes."""
    return _run(folder, 25)


def _assert_as_one(seen: list[dict[str, Any]], cell: str, partitioning: str, steps: int) -> None:
    expected = trained(_ALONE, cell, partitioning, steps)
    for found in (one[f"{cell}, {partitioning}"] for one in seen):
        assert len(found["losses"]) >= steps - 1
        assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert found["history"] == [pytest.approx(record, rel=1e-5) for record in expected["history"]]


@pytest.mark.parametrize("partitioning", PARTITIONINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_two_equal_one(cell: str, partitioning: str, seen: list[dict[str, Any]]) -> None:
    _assert_as_one(seen, cell, partitioning, 25)


@pytest.mark.slow
def test_two_equal_one_over_many_steps(tmp_path: Path) -> None:
    seen = _run(tmp_path, 100)
    for cell in CELLS:
        for partitioning in PARTITIONINGS:
            _assert_as_one(seen, cell, partitioning, 100)


def test_both_have_the_same_results(seen: list[dict[str, Any]]) -> None:
    """To the last bit, including dropout: they took the same steps."""
    first, second = seen
    for name in ("undisturbed", "resumed", "limited", *(f"{cell}, random" for cell in CELLS)):
        assert first[name] == second[name]


def test_all_end_at_the_time_limit_after_the_same_step(seen: list[dict[str, Any]]) -> None:
    """Their clocks differ: the shares of the time that they have used are averaged."""
    first = seen[0]["limited"]
    assert first["reached time limit"]
    assert 20 < len(first["losses"]) < 60


def test_one_requests_a_stop_and_all_stop_after_the_same_step(seen: list[dict[str, Any]]) -> None:
    """The request is sent with the gradients of the next step."""
    for one in seen:
        assert len(one["started"]["losses"]) == several_processes.STOP_AFTER + 1
        assert not one["started"]["history"]


def test_resumed_run_equals_uninterrupted_run(seen: list[dict[str, Any]]) -> None:
    """To the last bit: all lanes' state and all generator states; the checkpoint is sent to a process without it."""
    for one in seen:
        undisturbed, resumed = one["undisturbed"], one["resumed"]
        assert resumed["weights"] == undisturbed["weights"]
        assert resumed["history"] == undisturbed["history"]
        assert one["started"]["losses"] + resumed["losses"] == undisturbed["losses"]


def test_a_run_of_two_is_resumed_by_one(folder: Path, seen: list[dict[str, Any]]) -> None:
    """The checkpoint has the state of all lanes."""
    started = seen[0]["for one process"]["losses"]
    assert len(started) == several_processes.STOP_AFTER + 1
    resumed = trained(_ALONE, "gru", "sequential", 20, folder=folder / "for-one")
    expected = trained(_ALONE, "gru", "sequential", 20)
    assert started + resumed["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert resumed["history"] == [pytest.approx(record, rel=1e-5) for record in expected["history"]]


def test_a_failing_process_reports_it_and_the_others_end(seen: list[dict[str, Any]]) -> None:
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
                f"InputError: the processes of this run differ in their {what}"
            )


def test_a_gradient_that_a_process_lacks_is_zero_there(seen: list[dict[str, Any]]) -> None:
    for one in seen:
        assert one["gradients"] == [[1.5, 1.5], [1.0, 1.0], None, None]


def test_a_process_that_is_gone_is_noticed(seen: list[dict[str, Any]]) -> None:
    message = seen[0]["error after loss"]
    assert message.startswith("ProcessLostError: another process of this run ended")
    assert "\n" not in message


def test_the_first_checkpoint_in_another_folder_is_complete(
    folder: Path, seen: list[dict[str, Any]], tmp_path: Path
) -> None:
    first = list_checkpoint_files(folder / "moved" / CHECKPOINT_FOLDER)[0]
    assert Checkpoint.read(first).steps == several_processes.STOP_AFTER + 1
    resumed = trained(_ALONE, "gru", "sequential", 20, folder=first, into=tmp_path)
    expected = trained(_ALONE, "gru", "sequential", 20)
    assert seen[0]["for one process"]["losses"] + resumed["losses"] == pytest.approx(expected["losses"], rel=1e-5)
