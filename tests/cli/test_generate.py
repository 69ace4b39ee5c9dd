"""``charloom generate``, as a real process if the process is the point."""

import json
import os
import shutil
from pathlib import Path

import pytest

from charloom.cli.generate import _print_chunks
from native import Switch
from process import PATIENCE, call, run, start

_SENTENCE = "the quick brown fox jumps over the lazy dog\n"


def test_greedy_and_its_limits(char_model: Path, tmp_path: Path) -> None:
    """The memorized sentence, as greedy choice, with a tiny temperature and with a large power."""
    common: list[str | Path] = ["generate", char_model, "--prefix", "the quick", "--num-chars", "60"]
    expected = (_SENTENCE * 3)[: 9 + 60] + "\n"
    assert call(tmp_path, *common).done() == expected
    assert call(tmp_path, *common, "--temperature", "0.0001", "--seed", "1").done() == expected
    assert call(tmp_path, *common, "--power", "1000").done() == expected


def test_random_choice(char_model: Path, tmp_path: Path) -> None:
    common: list[str | Path] = [
        "generate",
        char_model,
        "--prefix",
        "the",
        "--num-chars",
        "80",
        "--temperature",
        "3",
        "--seed",
        "7",
    ]
    alone = call(tmp_path, *common).done()
    several = call(tmp_path, *common, "--num-samples", "2").done()
    assert several.startswith(f"--- sample 1 of 2 ---\n{alone}--- sample 2 of 2 ---\nthe")
    assert several.removeprefix(f"--- sample 1 of 2 ---\n{alone}--- sample 2 of 2 ---\n") != alone


def test_stop_and_the_default_prefix(char_model: Path, tmp_path: Path) -> None:
    assert call(tmp_path, "generate", char_model, "--stop", "jumps").done() == "the quick brown fox \n"


def test_unknown_characters(char_model: Path, tmp_path: Path) -> None:
    common: list[str | Path] = ["generate", char_model, "--prefix", "the q\u00fcick", "--num-chars", "5"]
    message = call(tmp_path, *common).error()
    assert "'ü' (U+00FC, position 5); pass --unknown unk to read such characters as <unk>" in message
    assert "--unknown unk" in message
    assert call(tmp_path, *common, "--unknown", "skip").done().startswith("the qick")
    assert "--prefix is '': it must contain at least one character" in call(
        tmp_path, "generate", char_model, "--prefix", ""
    ).error(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--temperature", "-1"], "--temperature is -1.0: it must be at least 0"),
        (["--temperature", "1", "--power", "2"], "pass only one"),
        (["--top-p", "2"], "--top-p is 2.0: it must be above 0 and at most 1"),
        (["--top-k", "0"], "--top-k is 0"),
        (["--num-chars", "-5"], "--num-chars is -5"),
        (["--num-samples", "3", "--greedy"], "all greedy samples are the same"),
        (["--greedy", "--top-k", "3"], "or --top-p: omit --greedy or those options"),
        (["--stop", ""], "--stop is '': it must not be empty"),
    ],
)
def test_invalid_settings(options: list[str], message: str, char_model: Path, tmp_path: Path) -> None:
    assert message in call(tmp_path, "generate", char_model, "--prefix", "the", *options).error(2)


def test_output_is_streamed_and_a_closed_pipe_ends_it_silently(char_model: Path, tmp_path: Path) -> None:
    """The first characters arrive long before ten million are generated; then the pipe is closed."""
    process = start(tmp_path, "generate", char_model, "--prefix", "the quick", "--num-chars", "10000000")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(30) == _SENTENCE[:30].encode()
    process.stdout.close()
    with process.stderr as stream:
        errors = stream.read()
    assert (process.wait(timeout=PATIENCE), errors) == (0, b"")


def test_bytes_go_to_a_pipe_unchanged(byte_model: Path, tmp_path: Path) -> None:
    result = run(tmp_path, "generate", byte_model, "--prefix", "\u00e9", "--num-chars", "300", "--temperature", "2")
    assert result.status == 0, result
    assert result.raw_out.startswith("\u00e9".encode())
    assert len(result.raw_out) == 302
    with pytest.raises(UnicodeDecodeError):
        result.raw_out.decode()


def test_damaged_models(char_model: Path, tmp_path: Path) -> None:
    """Each kind of damage to a folder has its own message."""
    assert "nowhere: no such model folder" in call(tmp_path, "generate", "nowhere", "--prefix", "a").error()
    expected = {}
    for name in ("truncated", "missing", "wrong", "garbage", "later"):
        shutil.copytree(char_model, tmp_path / name)
    os.truncate(tmp_path / "truncated" / "model.safetensors", 1000)
    expected["truncated"] = "model.safetensors is damaged"
    (tmp_path / "missing" / "config.json").unlink()
    shutil.rmtree(tmp_path / "missing" / "checkpoints", ignore_errors=True)
    expected["missing"] = "not a model folder (cannot read config.json"
    shutil.copy(char_model / "history.png", tmp_path / "wrong" / "model.safetensors")
    expected["wrong"] = "or belongs to a different config.json"
    (tmp_path / "garbage" / "config.json").write_text("{")
    expected["garbage"] = "damaged"
    config = json.loads((char_model / "config.json").read_text())
    (tmp_path / "later" / "config.json").write_text(json.dumps(config | {"format_version": 99}))
    expected["later"] = "format version 99"
    for name, message in expected.items():
        assert message in call(tmp_path, "generate", name, "--prefix", "a").error()


def test_invalid_calls_are_refused_before_any_output(char_model: Path, tmp_path: Path, compute_by: Switch) -> None:
    compute_by("foo")
    result = call(tmp_path, "generate", char_model)
    assert "CHARLOOM_KERNELS=foo: choose one of" in result.error(2)
    assert result.out == ""
    result = call(tmp_path, "generate", char_model, "--temperature", "1", "--num-samples", "100000000")
    assert "--num-samples is 100000000: at most 10,000" in result.error(2)
    assert result.out == ""


def test_choice_is_random_by_default(char_model: Path, tmp_path: Path) -> None:
    def generated(*options: str) -> str:
        return call(tmp_path, "generate", char_model, "--prefix", "the", "--num-chars", "300", *options).done()

    default = generated("--seed", "5")
    assert default == generated("--seed", "5", "--temperature", "0.7")
    assert generated("--greedy") == generated("--temperature", "0") == generated("--seed", "3", "--greedy")
    assert len({generated() for _ in range(3)} | {generated("--greedy")}) > 1 or default == generated("--greedy")


def test_all_bytes_are_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Including bytes that start a character which the model did not complete."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _print_chunks([b"a\xc3", b"\xa9b", b"\xf0\x9f"], keep=False)
    assert capsys.readouterr().out == "aéb\ufffd\n"
