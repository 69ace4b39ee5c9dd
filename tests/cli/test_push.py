"""``charloom push``, and models of the Hub in all commands, with a local server of the Hub's protocol."""

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_server import Hub, serving_hub, use_in_this_process
from process import PATIENCE, call, run, start

pytest.importorskip("huggingface_hub")
_TEXT = b"the quick brown fox jumps over the lazy dog\n" * 20
_PRIMED = ["--license", "mit", "--with-priming"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serves a Hub to the commands in this process, which have its token."""
    with serving_hub() as found:
        use_in_this_process(found, tmp_path / "cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", found.token)
        yield found


def test_processes(char_model: Path, tmp_path: Path) -> None:
    """The client reads its address, its token and the folder of its cache from the environment."""
    (tmp_path / "a.txt").write_bytes(_TEXT)
    with serving_hub() as hub:
        variables: dict[str, Any] = {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token,
            "no_proxy": "127.0.0.1",
            "NO_PROXY": "127.0.0.1",
        }
        address = f"{hub.url}/me/fox/commit/"
        done = run(tmp_path, "push", char_model, "me/fox", *_PRIMED, **variables).done()
        assert done == f"Uploaded to hf:me/fox: {address}{hub.repositories['me/fox'].branches['main']}\n"
        run(tmp_path, "compress", "a.txt", "-m", "hf:me/fox", **variables).done()
    # Without network: the folder that was uploaded, and the cache.
    words = ["--greedy", "--num-chars", "30"]
    generated = run(tmp_path, "generate", "hf:me/fox", *words, HF_HUB_OFFLINE="1").done()
    assert generated == call(tmp_path, "generate", char_model, *words).done()
    run(tmp_path, "decompress", "a.txt.loom", "-m", "hf:me/fox", "-o", "b.txt", HF_HUB_OFFLINE="1").done()
    assert (tmp_path / "b.txt").read_bytes() == _TEXT
    message = run(tmp_path, "compress", "a.txt", "-f", "-m", "hf:me/none", HF_HUB_OFFLINE="1").error()
    assert message.startswith("hf:me/none: the Hub cannot be reached, and the model is not, or not completely, in the")


@pytest.mark.usefixtures("hub")
def test_all_commands(char_model: Path, log_model: Path, tmp_path: Path) -> None:
    """Each gives the result of the folder."""
    (tmp_path / "a.txt").write_bytes(_TEXT)
    call(tmp_path, "push", char_model, "me/fox", *_PRIMED).done()
    call(tmp_path, "push", log_model, "me/log", *_PRIMED, "--revision", "draft").done()
    for words in (
        ["generate", "MODEL", "--greedy"],
        ["evaluate", "MODEL", "a.txt"],
        ["evaluate", "MODEL", "a.txt", "--by-line", "--adaptive", "--top", "2"],
        ["compress", "-c", "a.txt", "-m", "MODEL"],
    ):
        results = [
            call(tmp_path, *[str(model) if word == "MODEL" else word for word in words]).raw_out
            for model in (char_model, "hf:me/fox")
        ]
        assert results[0] == results[1], words
        assert results[0]
    logs = [
        call(tmp_path, "watch", model, "a.txt", "--no-follow", "--from-start", "--bits", "1")
        for model in (log_model, "hf:me/log@draft")
    ]
    assert (logs[0].status, logs[0].out) == (logs[1].status, logs[1].out)
    assert "hf:me/fox" in call(tmp_path, "info", "hf:me/fox").done()
    assert call(tmp_path, "export", "hf:me/fox", "--to", "html").done() == "Saved fox.html\n"
    tuned = ["train", "a.txt", "--init-from", "hf:me/fox", "--epochs", "1", "--batch-size", "4", "--output", "tuned"]
    assert "from the weights in hf:me/fox" in call(tmp_path, *tuned).out


@pytest.mark.usefixtures("kept_engines")
def test_a_default_that_is_not_available(
    char_model: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model on the Hub is downloaded only if a file needs it."""
    (tmp_path / "a.txt").write_bytes(_TEXT)
    monkeypatch.setenv("CHARLOOM_MODEL", "hf:me/none")
    call(tmp_path, "compress", "a.txt", "-m", "english").done()
    hub.requests.clear()
    call(tmp_path, "decompress", "a.txt.loom", "-o", "b.txt").done()
    assert not hub.requests
    call(tmp_path, "compress", "a.txt", "-m", char_model, "-f").done()
    message = call(tmp_path, "decompress", "a.txt.loom", "-o", "c.txt").error()
    assert message == (
        "a.txt.loom: hf:me/none: no such repository, or a private one; check the name, or log in with 'hf auth login'"
    )


def test_a_local_folder_takes_precedence(char_model: Path, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hf:me").mkdir()
    (tmp_path / "hf:me" / "fox").symlink_to(char_model)
    assert call(tmp_path, "generate", "hf:me/fox", "--greedy").done()
    assert not hub.requests


def test_a_dry_run(char_model: Path, hub: Hub, tmp_path: Path) -> None:
    out = call(
        tmp_path, "push", char_model, "hf:me/fox", "--license", "mit", "--without-priming", "--language", "en",
        "--dry-run",
    ).done()  # fmt: skip
    table, _, card = out.partition("\n\n---\n")
    assert [line.split()[0] for line in table.splitlines()] == [
        *("README.md", "codec.safetensors", "config.json", "history.jsonl", "history.png", "model.safetensors"),
    ]
    assert card.startswith('license: "mit"\n')
    assert 'language:\n- "en"\n' in card
    assert not hub.requests


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL", "fox", *_PRIMED], "the repository is 'fox': it must be USER/NAME"),
        (["MODEL", "me/fox"], "--license is missing: pass one"),
        (["MODEL", "me/fox", "--license", "My License"], "--license is 'My License': it must be the identifier of a"),
        (["MODEL", "me/fox", *_PRIMED, "--language", "x"], "--language is 'x': it must be the code of a language"),
        (["MODEL", "me/fox", "--license", "mit"], "the priming contains the end of the training text ("),
    ],
)
def test_wrong_calls(words: list[str], message: str, char_model: Path, tmp_path: Path) -> None:
    given = [str(char_model) if word == "MODEL" else word for word in words]
    assert call(tmp_path, "push", *given).error(2).startswith(message)


@pytest.mark.usefixtures("hub")
def test_errors(char_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(tmp_path, "push", "none", "me/fox", *_PRIMED).error() == "none: no such model folder"
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    message = call(tmp_path, "push", char_model, "me/fox", *_PRIMED).error()
    assert message.startswith("hf:me/fox: the Hub refused access (status 401); log in with 'hf auth login'")


@pytest.mark.parametrize(("answer", "is_uploaded"), [(b"y\n", True), (b"\n", False), (b"maybe\n", False)])
def test_questions_on_a_terminal(answer: bytes, is_uploaded: bool, char_model: Path, tmp_path: Path) -> None:
    """The license is asked for first, then the priming, which is not uploaded by default."""
    controller, terminal = pty.openpty()
    process = start(tmp_path, "push", char_model, "me/fox", "--dry-run", stdin=terminal, stderr=terminal)
    os.close(terminal)
    for question, reply in ((b"License of the model", b"mit\n"), (b"Upload it? [y/N]", answer)):
        shown = b""
        while question not in shown:
            shown += os.read(controller, 1000)
        os.write(controller, reply)
    out, _ = process.communicate(timeout=PATIENCE)
    os.close(controller)
    assert process.returncode == 0
    assert (b"priming.safetensors" in out.partition(b"---")[0]) == is_uploaded
    assert b'license: "mit"' in out


def test_no_answer_on_a_terminal(char_model: Path, tmp_path: Path) -> None:
    """The end of the input (Ctrl-D) uploads nothing."""
    controller, terminal = pty.openpty()
    process = start(tmp_path, "push", char_model, "me/fox", stdin=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    while b"License" not in shown:
        shown += os.read(controller, 1000)
    os.write(controller, b"\x04")
    assert process.wait(PATIENCE) == 2
    os.close(controller)
