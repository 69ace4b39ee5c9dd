"""The file of a watch: round trips, damage, hostile contents."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import InputError
from charloom.inference.watch_state import WatchState
from charloom.inference.watching import MAX_RECENT
from charloom.text.following import Position

_NUMBERS = st.integers(0, 2**63)
_STATES = st.builds(
    WatchState,
    recent=st.binary(max_size=50),
    reported=st.dictionaries(st.binary(max_size=10), st.floats(0, 300)),
    positions=st.dictionaries(
        st.text(max_size=10).filter(str.isprintable), st.builds(Position, _NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS)
    ),
)


@given(state=_STATES)
def test_round_trip(state: WatchState, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "watch.state"
    state.save(path)
    loaded = WatchState.load(path)
    assert loaded == state
    assert list(loaded.reported) == list(state.reported)


def test_missing_file_is_an_empty_state(tmp_path: Path) -> None:
    assert WatchState.load(tmp_path / "none") == WatchState()


def test_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "watch.state"
    WatchState(b"line\n" * 10, {b"message": 5.0}, {"app.log": Position(1, 2, 3, 4)}).save(path)
    data = path.read_bytes()
    wrong = [
        b"",
        b"text",
        data[:-1],
        data + b"x",
        data.replace(b"charloom watch 1", b"charloom watch 9"),
        data.replace(b"inode", b"imode"),
        data.replace(rb"{\"message\": 5.0}", rb"[\"message\", 5.0]"),
        data.replace(b"5.0}", b"NaN}"),
    ]
    for number, changed in enumerate(wrong):
        assert changed != data, number
        path.write_bytes(changed)
        with pytest.raises(InputError, match="not a state"):
            WatchState.load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"watch\.state: "):
        WatchState.load(path)


def test_state_that_is_too_large_is_refused(tmp_path: Path) -> None:
    WatchState(b"x" * (MAX_RECENT + 1)).save(tmp_path / "watch.state")
    with pytest.raises(InputError, match="not a state"):
        WatchState.load(tmp_path / "watch.state")
