"""The choice of an engine for a model, and of its version."""

import io
from pathlib import Path

import pytest

from charloom import Codec, InputError, ModelFolderError, WrongModelError
from charloom_codec.engines.engine import VERSIONS, Engine
from charloom_codec.engines.native import supported
from charloom_codec.format.container import Header
from charloom_codec.format.opening import EngineChoice, make_engine, open_engine, open_engine_before_held_out
from charloom_codec.model.codec_files import save_codec_files
from charloom_codec.model.corrector import load_corrector
from charloom_codec.model.priming import Priming
from charloom_codec.reference.plain_engine import ReferenceEngine
from fake_engines import ZlibEngine
from native import Switch
from small_engines import MODELS, PRIMINGS


def test_reference_engines_without_native_code(compute_by: Switch) -> None:
    model = MODELS["characters"]
    compute_by("reference")
    fast, mixing = (make_engine(model, priming) for priming in (None, PRIMINGS["primed"]))
    assert isinstance(fast, ReferenceEngine)
    assert isinstance(mixing, ReferenceEngine)
    compute_by("auto")
    if supported():
        for plain in (fast, mixing):
            native = make_engine(model, None if plain is fast else PRIMINGS["primed"])
            assert type(native) is not type(plain)
            assert native.fingerprint == plain.fingerprint
            lengths = [0, 1, 4095, 4096, 1 << 14, 1 << 18, (1 << 20) - 1, 1 << 20, 1 << 24]
            assert [native.choose_num_lanes(n) for n in lengths] == [plain.choose_num_lanes(n) for n in lengths]


def test_an_engine_is_returned_as_given() -> None:
    engine = ZlibEngine("mixing")
    choice = EngineChoice(engine, fast=True)
    assert choice.mode == "mixing"
    assert choice.open_for_compression() is engine
    assert choice.open_for_file(Header("mixing", engine.fingerprint[:8])) is engine
    with pytest.raises(WrongModelError, match="compressed in mode 'fast', but this codec uses mode 'mixing'"):
        choice.open_for_file(Header("fast", engine.fingerprint[:8]))
    with pytest.raises(WrongModelError, match="compressed with a different model, whose fingerprint is 00"):
        choice.open_for_file(Header("mixing", bytes(8)))


@pytest.mark.parametrize("version", VERSIONS["mixing"][1:])
@pytest.mark.parametrize("records", [False, True])
def test_files_of_an_earlier_version_are_decompressed(tmp_path: Path, records: bool, version: int) -> None:
    save_codec_files(tmp_path, MODELS["characters"], PRIMINGS["primed"])
    earlier = make_engine(MODELS["characters"], PRIMINGS["primed"], version)
    codec, text = Codec(tmp_path), b"it was the age of wisdom\nand of foolishness\n" * 3

    def compress(codec: Codec) -> bytes:
        if not records:
            return codec.compress(text)
        codec.compress_lines(io.BytesIO(text), target := io.BytesIO())
        return target.getvalue()

    old, new = compress(Codec(earlier)), compress(codec)
    assert codec.fingerprint == make_engine(MODELS["characters"], PRIMINGS["primed"]).fingerprint
    assert earlier.fingerprint != codec.fingerprint
    assert old[4:12] == earlier.fingerprint[:8]
    assert new[4:12] == codec.fingerprint[:8]
    for data in (old, new, old):
        assert codec.decompress(data) == text


def test_unknown_versions() -> None:
    with pytest.raises(ValueError, match="the mixing engine has no version 4"):
        make_engine(MODELS["characters"], PRIMINGS["primed"], 4)
    with pytest.raises(ValueError, match="the fast engine has no version 2"):
        make_engine(MODELS["characters"], None, 2)
    with pytest.raises(ValueError, match="the mixing engine has no version 0"):
        make_engine(MODELS["characters"], PRIMINGS["primed"], 0)
    with pytest.raises(ValueError, match="version 1 of the mixing engine has no corrector"):
        Engine(MODELS["characters"], PRIMINGS["primed"], 1, load_corrector(2))


def test_invalid_models() -> None:
    with pytest.raises(InputError, match="the model must be a model folder or a LanguageModel, not int"):
        EngineChoice(5)  # type: ignore[arg-type]
    with pytest.raises(WrongModelError, match="compression needs a model"):
        EngineChoice(None).open_for_compression()


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        open_engine(tmp_path / "none", fast=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFolderError, match="not a folder"):
        open_engine(tmp_path / "file", fast=True)


@pytest.mark.parametrize(
    ("seen", "held_out", "end"),
    [
        ("a fox\n" * 50, "a dog\n" * 20, "a dog\n" * 20),
        ("a fox\n" * 50, "dog\na dog\n" * 9, "dog\n" + "a dog\ndog\n" * 8 + "a dog\n"),
        ("a fox\n" * 49 + "a f", "ox\n" + "a dog\n" * 20, "a dog\n" * 20),  # whole lines
        ("a fox\n" * 100, "a dog\n", "a dog\n"),
        ("a fox\n" * 10, "a dog\n" * 90, "a dog\n" * 50),  # at least half of the text primes the engine
        ("", "a dog\n" * 90, "a dog\n" * 45),
        ("a fox\n" * 40_000, "a dog\n" * 40_000, "a dog\n" * 10_922),  # 64 KiB
        ("a fox\n" * 100, "", ""),
        ("a fox" * 100, "a dog" * 10, ""),
        ("", "", ""),
    ],
)
def test_an_engine_before_the_held_out_lines(seen: str, held_out: str, end: str, tmp_path: Path) -> None:
    model = MODELS["characters"]
    save_codec_files(tmp_path, model, Priming.from_texts(seen.encode(), held_out.encode()))
    engine, text = open_engine_before_held_out(tmp_path)
    assert text == end.encode()
    if not end:
        return
    before = (seen + held_out).encode().removesuffix(text)
    silent = min(len(seen), len(before))
    assert engine.fingerprint == make_engine(model, Priming(before, silent)).fingerprint
    if supported():
        known = open_engine(tmp_path, fast=False)
        assert Codec(known).measure(text).bits.sum() <= Codec(engine).measure(text).bits.sum()
