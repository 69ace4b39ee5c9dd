"""The two files of a model folder for compression: damaged, mixed up, missing, or special files."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import charloom
from charloom import CharloomWarning, Codec, ModelFolderError, ModelSettings, Vocabulary, prepare_codec
from charloom_codec.format.opening import open_engine

_TEXT = b"the quick brown fox jumps over the lazy dog\n"
_CODEC, _PRIMING = "codec.safetensors", "priming.safetensors"


def _saved(folder: Path, seed: int, seen: bytes = _TEXT * 4) -> Path:
    model = charloom.build_model(
        Vocabulary.of_text(_TEXT.decode()), ModelSettings(cell="gru", hidden_size=4), seed=seed
    )
    model.save(folder)
    prepare_codec(folder, model, seen=seen, held_out=_TEXT if seen else b"")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _saved(tmp_path / "model", 1)


@pytest.mark.parametrize("name", [_CODEC, _PRIMING])
def test_a_flipped_bit_is_refused_or_changes_nothing(name: str, folder: Path) -> None:
    """Nothing is compressed that the undamaged folder could not decompress."""
    mode = {_CODEC: True, _PRIMING: False}[name]
    sound = open_engine(folder, fast=mode).fingerprint
    file = folder / name
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    refused = 0
    places = [*range(0, header, 7), *range(header, len(whole), max(1, (len(whole) - header) // 60))]
    for at in places:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:
            found = open_engine(folder, fast=mode).fingerprint
        except ModelFolderError as error:
            refused += 1
            message = str(error)
        else:
            message = name
            assert found == sound
            assert at < header  # the names of the metadata
        assert name in message
        assert "\n" not in message
    assert refused > 0.8 * len(places)


def test_a_missing_priming_and_one_of_another_model(folder: Path, tmp_path: Path) -> None:
    other = _saved(tmp_path / "other", 1, _TEXT * 5)
    packed = {fast: Codec(folder, fast=fast).compress(_TEXT) for fast in (False, True)}
    kept = (folder / _PRIMING).read_bytes()
    for what in ("it is missing", "it does not belong to codec.safetensors"):
        (folder / _PRIMING).unlink()
        if what != "it is missing":
            shutil.copy(other / _PRIMING, folder)
        with pytest.raises(ModelFolderError, match=f"priming.safetensors: {what}; restore it from a copy"):
            Codec(folder).compress(_TEXT)
        with pytest.raises(ModelFolderError, match=what):
            Codec(folder).decompress(packed[False])
        assert Codec(folder, fast=True).compress(_TEXT) == packed[True]
        assert Codec(folder).decompress(packed[True]) == _TEXT
        shutil.copy(other / _PRIMING, folder)
    (folder / _PRIMING).write_bytes(kept)
    assert Codec(folder).compress(_TEXT) == packed[False]


def test_an_unexpected_priming(folder: Path, tmp_path: Path) -> None:
    bare = _saved(tmp_path / "bare", 1, b"")
    packed = Codec(bare).compress(_TEXT)
    shutil.copy(folder / _PRIMING, bare)
    with pytest.raises(ModelFolderError, match="it does not belong to"):
        Codec(bare).compress(_TEXT)
    (bare / _PRIMING).unlink()
    assert Codec(bare).decompress(packed) == _TEXT


def _without_metadata(file: Path) -> None:
    data = file.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = {"format": header["__metadata__"]["format"]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


@pytest.mark.parametrize("name", [_CODEC, _PRIMING])
def test_files_without_fingerprints_are_refused(name: str, folder: Path) -> None:
    """Nothing would show that they belong together."""
    _without_metadata(folder / name)
    with pytest.raises(ModelFolderError, match=name):
        Codec(folder).compress(_TEXT)


def test_missing_integers_are_made_again_with_a_warning(folder: Path) -> None:
    packed = Codec(folder).compress(_TEXT)
    (folder / _CODEC).unlink()
    with pytest.warns(CharloomWarning, match=r"codec.safetensors was missing and has been created again"):
        assert Codec(folder).compress(_TEXT) == packed
    (folder / _PRIMING).unlink()
    with pytest.raises(ModelFolderError, match="missing"):
        Codec(folder).compress(_TEXT)


def _make_hole(file: Path) -> None:
    """Makes a sparse file of a TiB."""
    file.touch()
    os.truncate(file, 1 << 40)


_NO_FILES: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": lambda file: file.symlink_to("/dev/zero"),
    "loop": lambda file: file.symlink_to(file.name),
    "hole": _make_hole,
    "empty": Path.touch,
}


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices in folders need Unix")
@pytest.mark.parametrize("kind", list(_NO_FILES))
@pytest.mark.parametrize("name", [_CODEC, _PRIMING])
def test_special_files_are_refused_at_once(name: str, kind: str, folder: Path) -> None:
    (folder / name).unlink()
    _NO_FILES[kind](folder / name)
    with pytest.raises(ModelFolderError, match=name):
        Codec(folder).compress(_TEXT)
