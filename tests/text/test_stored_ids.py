"""Ids that are stored narrow are read as the tensor of them would be."""

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charloom import CorpusError, InputError, SettingsError
from charloom.text import stored_ids
from charloom.text.stored_ids import MappedFile, StoredIds, as_stored

_DTYPES = ["<u1", "<u2", "<u4"]


def _mapped(tmp_path: Path, numbers: Any) -> tuple[Any, MappedFile]:
    path = tmp_path / "ids"
    path.write_bytes(numbers.tobytes())
    with path.open("rb") as file:
        mapped = MappedFile(file, path.stat().st_size)
    return mapped.array(numbers.dtype), mapped


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("in_file", [False, True, "long"])
@pytest.mark.parametrize("renumbered", [False, True])
def test_indexing_is_a_tensors(
    dtype: str, in_file: bool | str, renumbered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file, short sequences are read past the map and long ones from it."""
    monkeypatch.setattr(MappedFile, "_SHORT", 0 if in_file == "long" else 1000)
    numbers = np.random.default_rng(0).integers(0, 250, 120).astype(dtype)
    id_of = np.arange(250)[::-1].astype(np.int64) if renumbered else None
    stored, file = _mapped(tmp_path, numbers) if in_file else (numbers, None)
    ids = StoredIds(stored, id_of, file)
    tensor = torch.from_numpy(numbers.astype(np.int64) if id_of is None else id_of[numbers])
    assert ids.shape == tensor.shape
    assert ids.bytes_per_id == numbers.itemsize
    assert ids.tolist() == list(ids) == tensor.tolist()
    assert int(ids[7]) == int(tensor[7])
    for place in (slice(None), slice(0, 0), slice(3, 90), slice(-5, None), slice(None, None, 7)):
        assert ids[place].dtype == torch.int64
        assert torch.equal(ids[place], tensor[place])
    assert torch.equal(ids.part(100)[:], tensor[100:])
    assert torch.equal(ids.part(5, 50).part(5, 10)[:], tensor[10:15])
    starts = np.array([90, 0, 17, 17])
    for part in (ids, ids.part(20), ids.part(5, 110).part(3, 105)):
        for length in (1, 10):
            expected = torch.stack([part[start : start + length] for start in starts.tolist()])
            assert torch.equal(part.sequences(starts, length), expected)


def test_what_is_read_is_the_readers_own(tmp_path: Path) -> None:
    stored, file = _mapped(tmp_path, np.arange(10, dtype=np.uint8))
    ids = StoredIds(stored, None, file)
    ids[:].fill_(3)
    assert ids.tolist() == list(range(10))
    assert (tmp_path / "ids").read_bytes() == bytes(range(10))


def test_a_file_may_go_while_it_is_read(tmp_path: Path) -> None:
    stored, file = _mapped(tmp_path, np.arange(100, dtype=np.uint8))
    ids = StoredIds(stored, None, file)
    (tmp_path / "ids").unlink()
    del file
    gc.collect()
    assert ids.part(90).tolist() == list(range(90, 100))


@given(numbers=st.lists(st.integers(0, 9), min_size=1), data=st.data())
def test_numbers_may_stand_for_others(numbers: list[int], data: st.DataObject) -> None:
    first, second = (data.draw(st.permutations(range(10))) for _ in range(2))
    ids = StoredIds(np.array(numbers, np.uint8)).renumbered(first).renumbered(second)
    assert ids.tolist() == [second[first[number]] for number in numbers]


def test_a_tensor_is_shared() -> None:
    tensor = torch.arange(5)
    ids = as_stored(tensor)
    tensor[0] = 7
    assert ids.tolist() == [7, 1, 2, 3, 4]
    assert as_stored(ids) is ids


def test_a_long_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_ids, "_IDS_AT_ONCE", 7)
    assert list(StoredIds(np.arange(20, dtype=np.uint8))) == list(range(20))


def test_a_file_that_someone_cuts_short_is_an_error(tmp_path: Path) -> None:
    stored, file = _mapped(tmp_path, np.arange(100, dtype=np.uint8))
    ids = StoredIds(stored, None, file)
    os.truncate(tmp_path / "ids", 50)
    assert ids.sequences(np.array([40]), 10).tolist() == [list(range(40, 50))]
    with pytest.raises(CorpusError, match="cut short on the disk"):
        ids.sequences(np.array([45]), 10)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's count of pages")
@pytest.mark.parametrize("way", ["slices", "long sequences", "short sequences"])
def test_what_was_read_does_not_stay_in_memory(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """48 MiB are read, in pieces of one or from all over; what one read touches, and 8 more, may stay."""
    monkeypatch.setattr(MappedFile, "_MOST_RESIDENT", 8 << 20)
    size, piece = 48 << 20, 1 << 20
    path = tmp_path / "ids"
    path.write_bytes(b"\1" * size)  # so that the system has it in its cache
    with path.open("rb") as file:
        mapped = MappedFile(file, size)
    ids = StoredIds(mapped.array(np.uint8), None, mapped)

    def resident() -> int:
        lines = Path("/proc/self/smaps").read_text().partition(str(path))[2].splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Rss:"))

    assert int(ids.part(0, piece)[:].sum()) == piece
    assert resident() >= piece
    most = 0
    random = np.random.default_rng(0)
    for begin in range(0, size, piece):
        if way == "slices":
            assert int(ids[begin : begin + piece].sum()) == piece
        else:
            length = 2000 if way == "long sequences" else 36
            assert int(ids.sequences(random.integers(0, size - length, 4), length).sum()) == 4 * length
        most = max(most, resident())
    assert most <= 16 << 20
    assert ids[12345] == 1


def test_only_integers_are_ids() -> None:
    for wrong in (np.zeros(3), np.zeros((2, 2), np.int64), np.zeros(3, np.uint64), np.zeros(3, bool), [1, 2], None):
        with pytest.raises(InputError, match="array of integers"):
            StoredIds(wrong)
    ids = StoredIds(np.array([0, 1], np.uint8))
    for numbers in ([0, 1.7], [0, True], [0, -1], [0, 2**63], [0, "1"]):
        with pytest.raises(SettingsError, match="whole number"):
            ids.renumbered(numbers)  # type: ignore[arg-type]
