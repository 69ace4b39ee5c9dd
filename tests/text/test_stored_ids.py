"""Ids that are stored in few bytes are read like a tensor."""

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import CorpusError, InputError, SettingsError
from charloom.text import stored_ids
from charloom.text.stored_ids import FileNumbers, StoredIds, as_stored

_DTYPES = ["<u1", "<u2", "<u4"]


def _in_file(tmp_path: Path, numbers: Any) -> FileNumbers:
    path = tmp_path / "ids"
    path.write_bytes(numbers.tobytes())
    with path.open("rb") as file:
        return FileNumbers(file, numbers.dtype, len(numbers))


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("in_file", [False, True, "in parts"])
@pytest.mark.parametrize("renumbered", [False, True])
def test_indexing_equals_a_tensors(
    dtype: str, in_file: bool | str, renumbered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a sequence takes several reads."""
    if in_file == "in parts":
        monkeypatch.setattr(stored_ids, "_MAX_READ_BYTES", 7)
    numbers = np.random.default_rng(0).integers(0, 250, 120).astype(dtype)
    id_of = np.arange(250)[::-1].astype(np.int64) if renumbered else None
    ids = StoredIds(_in_file(tmp_path, numbers) if in_file else numbers, id_of)
    tensor = torch.from_numpy(numbers.astype(np.int64) if id_of is None else id_of[numbers])
    assert ids.shape == tensor.shape
    assert ids.bytes_per_id == numbers.itemsize
    assert ids.tolist() == list(ids) == tensor.tolist()
    assert int(ids[7]) == int(tensor[7])
    for place in (slice(None), slice(0, 0), slice(3, 90), slice(-5, None), slice(None, None, 7), slice(7, -200)):
        assert ids[place].dtype == torch.int64
        assert torch.equal(ids[place], tensor[place])
    assert torch.equal(ids.part(100)[:], tensor[100:])
    assert torch.equal(ids.part(5, 50).part(5, 10)[:], tensor[10:15])
    starts = np.array([90, 0, 17, 17])
    for part in (ids, ids.part(20), ids.part(5, 110).part(3, 105)):
        for length in (1, 10):
            expected = torch.stack([part[start : start + length] for start in starts.tolist()])
            assert torch.equal(part.sequences(starts, length), expected)


def test_results_are_copies(tmp_path: Path) -> None:
    ids = StoredIds(_in_file(tmp_path, np.arange(10, dtype=np.uint8)))
    ids[:].fill_(3)
    assert ids.tolist() == list(range(10))
    assert (tmp_path / "ids").read_bytes() == bytes(range(10))


def test_a_file_may_be_removed_while_it_is_read(tmp_path: Path) -> None:
    ids = StoredIds(_in_file(tmp_path, np.arange(100, dtype=np.uint8)))
    (tmp_path / "ids").unlink()
    assert ids.part(90).tolist() == list(range(90, 100))


def test_only_what_is_in_memory_can_be_copied(tmp_path: Path) -> None:
    """The file's number would mean another file, or none, once this one is closed, and in another process."""
    ids = StoredIds(np.arange(100, dtype=np.uint8))
    assert pickle.loads(pickle.dumps(ids)).tolist() == copy.deepcopy(ids).tolist() == ids.tolist()
    in_file = StoredIds(_in_file(tmp_path, np.arange(100, dtype=np.uint8)))
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="load the corpus again, in that process"):
            copied(in_file)


@given(numbers=st.lists(st.integers(0, 9), min_size=1), data=st.data())
def test_numbers_may_be_remapped(numbers: list[int], data: st.DataObject) -> None:
    first, second = (data.draw(st.permutations(range(10))) for _ in range(2))
    ids = StoredIds(np.array(numbers, np.uint8)).with_new_ids(first).with_new_ids(second)
    assert ids.tolist() == [second[first[number]] for number in numbers]


def test_an_id_without_a_new_one_is_an_error(tmp_path: Path) -> None:
    """Also a negative one, which NumPy would take from the end of the table."""
    for numbers, wrong in ((np.array([0, 2, 1], np.uint8), 2), (np.array([1, -1], np.int8), -1)):
        for view in (StoredIds(numbers), StoredIds(_in_file(tmp_path, numbers))):
            few = view.with_new_ids([5, 6])
            with pytest.raises(
                InputError, match=f"the ids contain {wrong}, but the table that maps them has entries only for 0 to 1"
            ):
                few[:]
        with pytest.raises(InputError, match=f"the ids contain {wrong}, but the table "):
            StoredIds(np.zeros(1, np.uint8), numbers.astype(np.int64)).with_new_ids([5, 6])
    assert StoredIds(np.array([0, 2], np.uint8)).with_new_ids([5, 6])[:1].tolist() == [5]


def test_a_tensor_is_shared() -> None:
    tensor = torch.arange(5)
    ids = as_stored(tensor)
    tensor[0] = 7
    assert ids.tolist() == [7, 1, 2, 3, 4]
    assert as_stored(ids) is ids


def test_a_long_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_ids, "_IDS_PER_READ", 7)
    assert list(StoredIds(np.arange(20, dtype=np.uint8))) == list(range(20))


def test_a_file_that_is_truncated_is_an_error(tmp_path: Path) -> None:
    ids = StoredIds(_in_file(tmp_path, np.arange(100, dtype=np.uint8)))
    os.truncate(tmp_path / "ids", 50)
    assert ids.sequences(np.array([40]), 10).tolist() == [list(range(40, 50))]
    with pytest.raises(CorpusError, match="truncated while it was being read"):
        ids.sequences(np.array([45]), 10)


def test_only_integers_are_ids() -> None:
    for wrong in (np.zeros(3), np.zeros((2, 2), np.int64), np.zeros(3, np.uint64), np.zeros(3, bool), [1, 2], None):
        with pytest.raises(InputError, match="array of integers"):
            StoredIds(wrong)  # type: ignore[arg-type]
    ids = StoredIds(np.array([0, 1], np.uint8))
    for numbers in ([0, 1.7], [0, True], [0, -1], [0, 2**63], [0, "1"]):
        with pytest.raises(SettingsError, match="integer"):
            ids.with_new_ids(numbers)  # type: ignore[arg-type]
