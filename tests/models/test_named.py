"""``english``, the model that is part of the packages: a name that every command takes as a model."""

import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest
import torch

import charloom
import charloom_codec
from charloom.models import folder as model_folder
from charloom_codec.engines.engine import VERSIONS
from charloom_codec.engines.native import supported
from charloom_codec.format.opening import make_engine, open_engine
from charloom_codec.model.codec_files import load_codec_files
from charloom_codec.model.priming import Priming
from charloom_codec.named_models import finding
from fake_engines import ZlibEngine
from native import Switch
from process import call

_LETTER = (
    "Dear Anna,\n\nIt was good to have your letter. We have had nothing but rain since you left, and the garden is a "
    "lake; the children sail their boats in it. \u201cWhen will she come again?\u201d they ask \u2014 and so do I.\n\n"
    "Yours,\nTom\n\nPS: The caf\xe9 on the corner has closed.\n"
)
_PUBLISHED = {
    "english-1": "7c7042c5297e4d75d268bb4c4093a04adafbc6d46544071bf75eaa7c28aa8c03",
}
"""SHA-256 of the files of each version. One that was published must never change: files name it by a fingerprint."""


def _digest(version: str) -> str:
    digest = hashlib.sha256()
    floats = Path(model_folder.__file__).parent / "named" / version
    integers = Path(finding.__file__).parent / version
    for file in [*sorted(floats.iterdir()), *sorted(integers.iterdir())]:
        digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@pytest.mark.parametrize("version", finding.find_all_names())
def test_published_versions_never_change(version: str) -> None:
    assert _digest(version) == _PUBLISHED[version]


@pytest.mark.parametrize("version", finding.find_all_names())
def test_the_listed_fingerprints_are_those_of_the_engines(version: str) -> None:
    found = {
        open_engine(finding.find_folder(version), fast=mode == "fast", version=number, primed=primed).fingerprint[:8]
        for mode, numbers in VERSIONS.items()
        for number in numbers
        for primed in (True, False)
    }
    assert found == {bytes.fromhex(text) for text in finding._FINGERPRINTS[version]}
    for fingerprint in found:
        assert finding.find_compressor(fingerprint) == finding.find_folder(version)
    assert finding.find_compressor(bytes(8)) is None


def test_the_size_in_the_packages() -> None:
    """At most 4 MB, with both files of the codec."""
    (version,) = finding.NAMED_MODELS["english"]
    folders = [Path(str(module.__file__)).parent for module in (model_folder, finding)]
    files = [*(folders[0] / "named" / version).iterdir(), *(folders[1] / version).iterdir()]
    assert sum(file.stat().st_size for file in files) <= 4_000_000
    assert sorted(file.name for file in files) == [
        *("codec.safetensors", "config.json", "model.safetensors", "priming.safetensors")
    ]


def test_it_predicts_english() -> None:
    model = charloom.LanguageModel.load("english")
    assert next(model.parameters()).dtype == torch.float32
    assert charloom.evaluate(model, _LETTER).bits_per_char < 2.6
    assert charloom.evaluate(model, _LETTER[::-1]).bits_per_char > 4
    straight = _LETTER.replace("\u201c", '"').replace("\u201d", '"').replace("\u2014", "--")
    assert charloom.evaluate(model, straight).bits_per_char < 2.6
    text = charloom.generate(model, "It was", 100, charloom.SamplingSettings(temperature=0.5, seed=1))
    assert len(text) == 106
    assert sum(character.isalpha() or character in " \n" for character in text) > 90


def test_the_integers_are_those_of_the_weights() -> None:
    """Whichever machine quantizes them; on another one, a rounding may differ, but hardly any."""
    from charloom.compression.quantization import quantize

    made = quantize(charloom.LanguageModel.load("english")).to_arrays()
    stored, _ = charloom_codec.model.integer_model.IntegerModel.load(
        finding.find_folder("english") / "codec.safetensors"
    )
    for name, array in stored.to_arrays().items():
        assert (made[name] != array).mean() < 1e-3, name


@pytest.mark.parametrize(
    "kernels",
    [
        pytest.param(name, marks=[] if name in (supported()[0], supported()[-1]) else pytest.mark.slow)
        for name in supported()
    ],
)
def test_every_instruction_set_writes_the_same_file(kernels: str, compute_by: Switch) -> None:
    compute_by(kernels)
    codec = charloom.Codec("english")
    blob = codec.compress(_LETTER.encode())
    assert codec.decompress(blob) == _LETTER.encode()
    assert len(blob) < 0.4 * len(_LETTER.encode())
    assert hashlib.sha256(blob).hexdigest() == "5aa916d7972697855ea72e19bc2d44839e86354b598ea4339a5f700c9e0a227c"


@pytest.mark.skipif(not supported(), reason="the reference engine would take minutes")
def test_damage_is_detected() -> None:
    codec = charloom.Codec("english")
    blob = codec.compress(_LETTER.encode())
    for place in range(12, len(blob), 7):
        with pytest.raises(charloom.CompressedFileError):
            codec.decompress(blob[:place] + bytes([blob[place] ^ 16]) + blob[place + 1 :])
    with pytest.raises(charloom.TruncatedFileError):
        codec.decompress(blob[:-1])


@pytest.mark.skipif(not supported(), reason="the reference engine would take minutes")
def test_every_command_takes_it(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text(_LETTER, encoding="utf-8")
    assert call(tmp_path, "generate", "english", "--prefix", "It was", "--num-chars", "20").done().startswith("It was")
    assert "bits/char" in call(tmp_path, "evaluate", "english", "letter.txt").done()
    assert "lstm" in call(tmp_path, "info", "english").done()
    call(tmp_path, "compress", "letter.txt", "-m", "english", "--remove").done()
    call(tmp_path, "decompress", "letter.txt.loom").done()  # needs no name: the file states its model
    assert (tmp_path / "letter.txt").read_text(encoding="utf-8") == _LETTER
    words = ["--init-from", "english", "--epochs", "1", "--batch-size", "2", "--num-steps", "8", "--recipe", "own-text"]
    call(tmp_path, "train", "letter.txt", "-o", "mine", *words, "--hidden-size", "448", "--embedding-size", "64")
    assert (tmp_path / "mine" / "config.json").exists()
    (tmp_path / "english").mkdir()
    (tmp_path / "english" / "config.json").touch()
    assert call(tmp_path, "info", "english").error().startswith("english/config.json: damaged")


@pytest.mark.skipif(not supported(), reason="the reference engine would take minutes")
@pytest.mark.parametrize("kind", ["code", "records", "noise", "nothing"])
def test_data_unlike_prose_is_compressed_without_the_priming(kind: str) -> None:
    """At most 2% worse than without it; the file names the engine."""
    data = {
        "code": Path(charloom_codec.codec.__file__).read_bytes(),
        "records": json.dumps([{"id": n, "name": f"user{n * 7 % 97}", "tags": [n % 5]} for n in range(300)]).encode(),
        "noise": random.Random(0).randbytes(5000),
        "nothing": b"",
    }[kind]
    integers, _ = load_codec_files(finding.find_folder("english"), fast=False)
    unprimed = charloom.Codec(make_engine(integers, Priming())).compress(data)
    codec = charloom.Codec("english")
    blob = codec.compress(data)
    assert len(blob) <= 1.02 * len(unprimed)
    assert codec.decompress(blob) == charloom.Codec(None).decompress(blob) == data
    if kind != "noise":  # which is stored
        assert codec.measure(data).bits.sum() / 8 <= len(blob)


def test_a_text_that_it_does_not_know(tmp_path: Path) -> None:
    """An old file stays decodable, and another model's file is refused."""
    copy = tmp_path / "copy"
    shutil.copytree(finding.find_folder("english"), copy)
    blob = charloom.Codec(copy, fast=True).compress(_LETTER.encode())
    assert charloom.Codec("english").decompress(blob) == _LETTER.encode()
    noise = json.dumps(list(range(900))).encode()  # compressed without the priming
    assert charloom.Codec(copy).decompress(charloom.Codec("english").compress(noise)) == noise
    assert charloom.Codec(ZlibEngine()).decompress(blob) == _LETTER.encode()  # any codec has the models of the package
    with pytest.raises(charloom.WrongModelError, match="a different model"):
        charloom.Codec("english").decompress(blob[:4] + bytes(8) + blob[12:])
    with pytest.raises(charloom.WrongModelError, match="pass the folder of that model"):
        charloom.Codec(None).decompress(blob[:4] + bytes(8) + blob[12:])
