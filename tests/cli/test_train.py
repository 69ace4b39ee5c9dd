"""``charloom train``, as a real process if the process is the point."""

import gzip
import json
import re
import signal
from pathlib import Path

import pytest

import charloom
from native import Switch
from process import PATIENCE, SMALL, Result, call, environment, run, start, wait_until

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fable.txt").write_text(_TEXT * 20, encoding="utf-8")
    return tmp_path


def _train(home: Path, *arguments: str | Path, stdin: bytes = b"") -> Result:
    return call(home, "train", *arguments, *SMALL, stdin=stdin)


def test_a_run_and_its_files(home: Path) -> None:
    """Lines, samples and a summary; the folder; an existing model is not overwritten."""
    options = [
        "--epochs",
        "4",
        "--report-every",
        "2",
        "--sample-every",
        "4",
        "--prefix",
        "A fox",
        "--prefix",
        "the",
    ]
    result = run(home, "train", "fable.txt", *SMALL, *options, "--validation-fraction", "0.1")
    out = result.done()
    assert "epoch    2, perplexity " in out
    assert "epoch    3" not in out
    assert out.count("\n - A fox") == out.count("\n - the") == 1
    assert ", validation " in out
    folder = home / "fable-model"
    assert sorted(file.name for file in folder.iterdir()) == [
        "checkpoints",
        "codec.safetensors",
        "config.json",
        "history.jsonl",
        "history.png",
        "model.safetensors",
        "priming.safetensors",
    ]
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert all(record["validation_perplexity"] > 1 for record in history)
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert "charloom generate fable-model --prefix 'A fox'" in out

    before = (folder / "model.safetensors").read_bytes()
    assert "--force" in _train(home, "fable.txt").error()
    assert (folder / "model.safetensors").read_bytes() == before
    _train(home, "fable.txt", "--force", "--epochs", "1", "--seed", "5").done()
    assert (folder / "model.safetensors").read_bytes() != before
    assert len((folder / "history.jsonl").read_text().splitlines()) == 1


def test_early_stopping(home: Path) -> None:
    """The last line states which epoch's weights were kept, and so does the folder."""
    options = ["--validation-fraction", "0.1", "--epochs", "500", "--learning-rate", "0.05", "--patience", "2"]
    out = _train(home, "fable.txt", *options, "--output", "model").done()
    epochs = len((home / "model" / "history.jsonl").read_text().splitlines())
    assert f"Stopped early after epoch {epochs}: the validation perplexity did not improve for 2 epochs." in out
    assert f"Trained for {epochs} epochs in " in out
    assert f"Best epoch: {epochs - 2}, perplexity " in out
    assert charloom.LanguageModel.load(home / "model").provenance["results"]["epoch"] == epochs - 2
    message = _train(home, "fable.txt", "--validation-fraction", "0", "--patience", "2", "--output", "other").error(2)
    assert "patience" in message
    assert "set --validation-fraction" in message


def test_a_time_limit(home: Path) -> None:
    """The last epoch is incomplete, so it is not counted as trained."""
    out = _train(home, "fable.txt", "--minutes", "0.01", "--epochs", "100000", "--output", "model").done()
    epochs = len((home / "model" / "history.jsonl").read_text().splitlines())
    assert re.search(rf"\nEnded at the time limit, within epoch {epochs}\.\nTrained for [\d.]+ s\. Perplexity ", out), (
        out
    )


def test_an_empty_prefix_is_refused(home: Path) -> None:
    message = _train(home, "fable.txt", "--prefix", "", "--output", "model").error(2)
    assert message.startswith("--prefix must not contain an empty string: pass at least one character, or omit this")


@pytest.fixture
def alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process with another home, without network and corpora."""
    monkeypatch.delenv("CHARLOOM_DATA", raising=False)
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("alone")
def test_the_recipe_of_the_section_is_the_default(home: Path) -> None:
    """Without network and data Python's reference text replaces The Time Machine, and is named."""
    result = call(home, "train", "--epochs", "1", "--output", "model")
    assert result.status == 0, result
    (note,) = result.errors.splitlines()
    assert note.startswith("charloom: warning: corpus 'time-machine' is not available")
    assert "is part of Python" in note
    config = json.loads((home / "model" / "config.json").read_text())
    assert config["layer"]["cell"] == "rnn"
    assert config["layer"]["hidden_size"] == 256
    assert config["vocabulary"]["clean_up"] == {"lowercase": True, "collapse_whitespace": True}
    assert config["provenance"]["corpus"]["num_chars"] == 10_000
    training = config["provenance"]["training"]
    assert (training["optimizer"], training["learning_rate"], training["clip_norm"]) == ("sgd", 1.0, 1.0)
    assert training["prefix"] == ["traveller", "time traveller"]


@pytest.mark.usefixtures("alone")
def test_a_named_corpus_that_is_unavailable(home: Path) -> None:
    message = call(home, "train", "time-machine", "--epochs", "1").error()
    assert "no connection" in message
    assert "CHARLOOM_DATA" in message
    assert not (home / "time-machine-model").exists()


@pytest.mark.usefixtures("corpora", "alone")
def test_the_data_directory(home: Path, corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARLOOM_DATA", str(corpora))
    out = call(home, "train", "--epochs", "1", "--output", "model").done()
    assert "time-machine: the first 10,000 characters, vocabulary of 44 tokens" in out


def test_recipes_and_options(home: Path) -> None:
    """A recipe file, overridden by single options."""
    (home / "mine.toml").write_text('[model]\ncell = "lstm"\nhidden_size = 8\n[training]\nepochs = 1\nbatch_size = 3\n')
    out = call(home, "train", "fable.txt", "--recipe", "mine.toml", "--hidden-size", "9", "--output", "model").done()
    assert "LSTM, 1 x 9 units" in out
    assert "recipe mine.toml, 1 epoch," in out
    config = json.loads((home / "model" / "config.json").read_text())
    assert config["provenance"]["training"]["batch_size"] == 3


def test_folders_files_and_standard_input(home: Path) -> None:
    (home / "texts" / "deep").mkdir(parents=True)
    (home / "texts" / "b.txt").write_text("b" * 50)
    (home / "texts" / "deep" / "c.txt").write_text("c" * 50)
    out = _train(home, "texts", "fable.txt", "-", "--epochs", "1", "--output", "m", stdin=b"from a pipe").done()
    assert f"{51 + 51 + len(_TEXT) * 20 + 11:,} characters" in out


def test_compressed_files(home: Path) -> None:
    (home / "book.txt.gz").write_bytes(gzip.compress(_TEXT.encode() * 20))
    out = _train(home, "book.txt.gz", "--epochs", "1").done()
    assert f"{len(_TEXT) * 20:,} characters" in out
    assert (home / "book-model" / "config.json").exists()
    (home / "cut.gz").write_bytes(gzip.compress(_TEXT.encode() * 20)[:-9])
    assert _train(home, "cut.gz").error() == "cut.gz: truncated: the file ends in the middle of its compressed data"
    assert not (home / "cut-model").exists()


def test_chinese(home: Path) -> None:
    """An LSTM on a text in UTF-8 trains, saves, loads and generates."""
    (home / "poem.txt").write_text("床前明月光，疑是地上霜。\n举头望明月，低头思故乡。\n" * 60, encoding="utf-8")  # noqa: RUF001
    call(home, "train", "poem.txt", "--epochs", "15", "--output", "model", "--learning-rate", "0.02").done()
    out = call(home, "generate", "model", "--prefix", "床前", "--num-chars", "10").done()
    assert out == "床前明月光，疑是地上霜。\n"[:12] + "\n"  # noqa: RUF001


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_it_and_the_model_is_saved(number: signal.Signals, home: Path) -> None:
    process = start(home, "train", "fable.txt", *SMALL, "--epochs", "100000", "--output", "model")
    history = home / "model" / "history.jsonl"
    wait_until(lambda: history.exists() and history.read_text().count("\n") >= 3, process)
    process.send_signal(number)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (128 + number, b"")
    assert f"Stopped by {number.name}".encode() in out
    assert b"saved" in out
    epochs = len(history.read_text().splitlines())
    model = charloom.LanguageModel.load(home / "model")
    assert model.provenance["results"]["epoch"] == epochs


def test_invalid_texts(home: Path) -> None:
    """Each ends in its own line and leaves no file."""
    (home / "empty.txt").write_bytes(b"")
    (home / "one.txt").write_bytes(b"x")
    (home / "latin.txt").write_bytes(b"one\ntwo caf\xe9")
    (home / "binary.bin").write_bytes(b"text\0and more")
    (home / "nothing").mkdir()
    expected = {
        "none.txt": "none.txt: no such file or directory",
        "empty.txt": "empty.txt: empty",
        "one.txt": "needs 41: decrease --batch-size or --num-steps",
        "latin.txt": "latin.txt: not UTF-8 at byte 11 (0xe9, line 2); --unit byte accepts any file",
        "binary.bin": "looks binary (NUL character at position 4); --unit byte",
        "nothing": "nothing: this folder contains no ",
        "shakespear": "no such file or corpus; the corpora are time-machine, tiny-shakespeare",
    }
    for name, message in expected.items():
        assert message in call(home, "train", name, *SMALL, "--validation-fraction", "0").error(
            2 if name == "one.txt" else 1
        )
        assert not list(home.glob("*-model"))


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--hidden-size", "0"], 2, "--hidden-size is 0: it must be an integer, at least 1"),
        (["--hidden-size", "ten"], 2, "--hidden-size"),
        (["--hiden-size", "10"], 2, "unknown option --hiden-size: did you mean --hidden-size?"),
        (["--cell", "transformer"], 2, "rnn"),
        (["--recipe", "nonsense"], 2, "choose one of auto, own-text, section"),
        (["--device", "abacus"], 2, "--device is 'abacus': it cannot be used"),
        (["--output", "fable.txt/model"], 1, "fable.txt/model: cannot be written"),
    ],
)
def test_invalid_settings(options: list[str], status: int, message: str, home: Path) -> None:
    assert message in call(home, "train", "fable.txt", *options).error(status)


@pytest.mark.parametrize(
    ("words", "name"),
    [(["train", "--output", ""], "--output"), (["generate", ""], "MODEL"), (["evaluate", "", "fable.txt"], "MODEL")],
)
def test_an_empty_path_is_not_the_current_folder(words: list[str], name: str, home: Path) -> None:
    """An unset variable of a script gives an empty name."""
    assert f"{name} is empty" in call(home, *words).error(2)
    assert [file.name for file in home.iterdir()] == ["fable.txt"]


def test_an_unknown_backend(home: Path, compute_by: Switch) -> None:
    compute_by("magic")
    result = call(home, "train", "fable.txt", *SMALL, "--epochs", "1")
    assert "CHARLOOM_KERNELS=magic: choose one of auto, reference" in result.error(2)


def test_without_priming_the_folder_has_nothing_of_the_text(home: Path) -> None:
    call(home, "train", "fable.txt", *SMALL, "--epochs", "1", "--no-priming", "--output", "model").done()
    words = {word for word in (home / "fable.txt").read_text().split() if len(word) > 4}
    assert words
    for file in (home / "model").rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not [word for word in words if word.encode() in content and word not in "fable.txt"], file
    call(home, "generate", "model", "--prefix", "A fox").done()


def test_a_full_disk(home: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is saved to a temporary folder, which the error names."""
    options = ["--epochs", "2", "--batch-size", "8", "--hidden-size", "48"]
    monkeypatch.setattr("tempfile.tempdir", str(home))
    message = call(home, "train", "fable.txt", *options, "--output", small_disk / "model").error()
    assert "no space left" in message.lower()
    refuge = next(word for word in message.split() if word.startswith(str(home / "charloom-")))
    assert charloom.LanguageModel.load(refuge).layer.hidden_size == 48


def test_a_folder_that_is_moved_during_training(home: Path) -> None:
    """The weights are saved nevertheless, with the whole history."""
    process = start(home, "train", "fable.txt", *SMALL, "--epochs", "100000", "--output", "model")
    history = home / "model" / "history.jsonl"
    wait_until(history.exists, process)
    assert "model: another run is using this folder" in call(home, "train", "--resume", "model").error()
    (home / "model").rename(home / "elsewhere")
    wait_until(history.exists, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.startswith(b"charloom: warning: ")
    assert errors.count(b"\n") == 1
    assert b"was missing and has been created again" in errors
    assert charloom.LanguageModel.load(home / "model").layer.hidden_size == 16
    epochs = [json.loads(line)["epoch"] for line in history.read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1))
