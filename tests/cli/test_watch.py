"""``charloom watch``, as a process too: alerts once, files that grow, restarts, signals."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charloom.inference.watch_state import WatchState
from charloom_codec.engines.native import choose_instruction_set
from process import PATIENCE, call, environment, run, start

pytestmark = pytest.mark.skipif(choose_instruction_set() is None, reason="the reference engine would take minutes")

_LINE = "the quick brown fox jumps over the lazy dog\n"
"""The line that ``log_model`` knows."""
_ODD = "THE QUICK BROWN FOX SLEEPS\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "app.log").write_text(_LINE * 20 + _ODD + _LINE * 5 + _ODD + _LINE)
    return tmp_path


def test_prints_an_unusual_message_once(home: Path, log_model: Path) -> None:
    result = call(home, "watch", log_model, "app.log", "--no-follow")
    assert result.status == 3
    (line,) = result.out.splitlines()
    assert line.startswith("[rarity ")
    assert line.endswith("] " + _ODD.strip())
    assert "28 lines read, 1 printed" in result.errors
    (home / "app.log").write_text(_LINE * 20 + _ODD * 6)
    few_bits = ["watch", str(log_model), "app.log", "--no-follow", "--bits", "0.01"]
    repeated, once = (call(home, *few_bits, *options).out.splitlines() for options in (["--repeats"], []))
    assert call(home, *few_bits).errors.splitlines()[-1] == (
        f"26 lines read, {len(once)} printed, {len(repeated) - len(once)} repetitions not shown"
    )
    # What was learned from a line may move the surprise of the next one to another place, which is printed, too.
    assert 1 <= sum(_ODD.strip() in line for line in once) <= 2
    assert sum(_ODD.strip() in line for line in repeated) > 2
    (home / "app.log").write_text(_LINE * 20)
    quiet = call(home, "watch", log_model, "app.log", "--no-follow")
    assert (quiet.status, quiet.out) == (0, "")


def test_json_lines(home: Path, log_model: Path) -> None:
    (home / "b.log").write_text(_LINE * 5 + _LINE.replace("brown", "brôwn\x1b[1m") + "\n")
    result = call(home, "watch", log_model, "app.log", "b.log", "--no-follow", "--json", "--bits", "20")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [row["file"] for row in rows] == ["app.log", "b.log"]
    assert rows[1]["text"] == _LINE.replace("brown", "brôwn\x1b[1m").strip()
    assert "brôwn\x1b[1m" in [rows[1]["text"][a:b] for a, b in rows[1]["unexpected"]]
    assert rows[0]["bits"] > 20
    assert rows[0]["line"] == 21


def test_standard_input_and_bytes(home: Path, log_model: Path) -> None:
    """Lines that are not UTF-8 or end without a line feed; control characters do not reach the terminal."""
    text = _LINE.encode() * 5 + b"caf\xe9 \x1b[2J\n" + b"x" * 300_000 + b"\n" + b"no line feed"
    result = run(home, "watch", log_model, "--bits", "40", stdin=text)
    assert result.status == 3
    lines = result.out.splitlines()
    assert lines[0].endswith("] caf\\xe9 \\x1b[2J")
    assert lines[1].endswith("x" * 65_535)
    assert lines[2].endswith("no line feed")


@pytest.fixture
def watching(home: Path, log_model: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that follows app.log with a state, and has read it."""
    process = start(home, "watch", log_model, "app.log", "--from-start", "--state", "watch.state")
    assert process.stdout is not None
    assert _ODD.encode() in process.stdout.readline()
    yield process
    process.kill()


def test_follows_a_file_and_keeps_its_state(home: Path, log_model: Path, watching: "subprocess.Popen[bytes]") -> None:
    assert watching.stdout is not None
    log = home / "app.log"
    with log.open("a") as file:
        file.write(_LINE * 3 + "the quick brown hen JUMPS\n" + _ODD)
    assert b"hen JUMPS" in watching.stdout.readline()
    log.rename(home / "app.log.1")
    log.write_text(_LINE + "ROTATED @@ AWAY\n")
    assert b"ROTATED @@ AWAY" in watching.stdout.readline()
    watching.send_signal(signal.SIGTERM)
    out, errors = watching.communicate(timeout=PATIENCE)
    assert (watching.returncode, out) == (128 + signal.SIGTERM, b"")
    assert {file.name for file in home.iterdir()} == {"app.log", "app.log.1", "watch.state"}, "the lock is removed"
    assert b"3 printed" in errors

    with log.open("a") as file:
        file.write(_ODD + "ROTATED @@ AWAY\n" + "MISSED while ## down\n")
    log.rename(home / "app.log.1")
    log.write_text(_LINE * 5 + "and AFTER && it <<is>> (up)\n")
    process = start(home, "watch", log_model, "app.log", "--state", "watch.state")
    assert process.stdout is not None
    # What was reported before is known, and nothing is lost.
    assert b"MISSED while ## down" in process.stdout.readline()
    assert b"and AFTER && it" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 128 + signal.SIGINT


def test_a_state_has_one_watch_at_a_time(home: Path, log_model: Path, watching: "subprocess.Popen[bytes]") -> None:
    """A watch that was killed does not keep it, and none leaves a lock. What is written after it is read."""
    state = home / "watch.state"
    for follow in ([], ["--no-follow"]):
        second = call(home, "watch", log_model, "app.log", "--state", state, *follow)
        assert second.error() == f"{state}: another watch is using this file: wait until it ends, or stop it"
        assert second.out == ""
    assert call(home, "watch", log_model, "app.log", "--state", "other.state", "--no-follow").status == 3
    watching.kill()
    watching.wait()
    with (home / "app.log").open("a") as file:
        file.write("SOMETHING ## new\n")
    # The same file by another path.
    *_, line = call(home, "watch", log_model, home / "app.log", "--state", state, "--no-follow").out.splitlines()
    assert line.endswith("SOMETHING ## new")
    assert {file.name for file in home.iterdir()} == {"app.log", "watch.state", "other.state"}


def test_closed_pipe_ends_the_watch(home: Path, watching: "subprocess.Popen[bytes]") -> None:
    assert watching.stdout is not None
    watching.stdout.close()
    with (home / "app.log").open("a") as file:
        file.write("SOMETHING ## new\n")
    assert watching.wait(PATIENCE) == 3
    assert (home / "watch.state").exists()


def test_a_closed_pipe_does_not_look_like_a_log_without_unusual_lines(home: Path, log_model: Path) -> None:
    """The exit status is that of an unusual line; the one that could not be printed belongs to the next watch."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = ["watch", str(log_model), "app.log", "--no-follow", "--state", "watch.state"]
    try:
        for options in ([], ["--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "charloom", *command, *options],
                stdout=write_end,
                stderr=subprocess.PIPE,
                cwd=home,
                env=environment(home),
                timeout=PATIENCE,
                check=False,
            )
            assert (done.returncode, done.stderr.count(b"\n")) == (3, 1)  # the line at the start
    finally:
        os.close(write_end)
    (line,) = call(home, *command).out.splitlines()
    assert line.endswith(_ODD.strip())


def test_the_end_of_standard_input_ends_the_watch(home: Path, log_model: Path) -> None:
    for stdin, status, count in ((b"", 0, 0), (_LINE.encode() * 3 + b"half a LINE", 3, 4)):
        result = run(home, "watch", log_model, "--bits", "20", stdin=stdin)
        assert result.status == status
        assert f"{count} lines read" in result.errors


def test_refusals(home: Path, log_model: Path, char_model: Path) -> None:
    cases: list[tuple[list[str | Path], str]] = [
        ([char_model, "app.log"], "--validation-fraction 0.1"),
        ([log_model, "none.log", "--no-follow"], "none.log: no such file"),
        ([log_model, "app.log", "--bits", "0"], "--bits is 0"),
        ([log_model, "app.log", "--alerts-per", "0.5"], "--alerts-per is 0.5"),
        ([log_model, "."], ".: not a regular file"),
        ([log_model, "app.log", "--state", "app.log"], "app.log: not a state"),
        ([log_model, "app.log", "--state", "n" * 250], "n: file name too long; pass a shorter name: that of the lock"),
        ([home / "none", "app.log"], "no such model folder"),
    ]
    for words, message in cases:
        result = call(home, "watch", *words)
        assert message in result.errors, result
        assert result.status in (1, 2)
        assert result.errors.count("\n") == 1
    assert (home / "app.log").read_text().startswith(_LINE)


def test_a_line_that_is_incomplete_belongs_to_the_next_watch(home: Path, log_model: Path) -> None:
    """If it were scored in two parts, each would be unusual."""
    command = ["watch", str(log_model), "app.log", "--no-follow", "--state", "watch.state", "--bits", "40"]
    with (home / "app.log").open("a") as file:
        file.write(_LINE[:12])
    first = call(home, *command)
    assert "28 lines read, 1 printed" in first.errors
    with (home / "app.log").open("a") as file:
        file.write(_LINE[12:])
    second = call(home, *command)
    assert "1 line read, 0 printed" in second.errors


def test_a_state_of_several_files(home: Path, log_model: Path) -> None:
    """A watch on one file keeps the position in another one."""
    (home / "b.log").write_text(_LINE * 3)
    command = ["watch", str(log_model), "--no-follow", "--state", "watch.state", "--bits", "40"]
    for file, num_lines in (("app.log", 28), ("b.log", 3), ("app.log", 0), ("b.log", 0)):
        assert f"{num_lines} lines read" in call(home, *command, file).errors


def test_the_state_cannot_be_written(home: Path, log_model: Path) -> None:
    """That is an error at once, before alerts are printed that the next watch would repeat."""
    command = ["watch", str(log_model), "app.log", "--no-follow", "--state"]
    result = call(home, *command, "missing/watch.state")
    assert result.error(2).startswith("--state missing/watch.state: the folder does not exist")
    assert result.out == ""
    if sys.platform == "linux":
        refused = call(home, *command, "/sys/watch.state")  # a folder to which root cannot write either
        assert refused.error().startswith("/sys/watch.state: ")
        assert refused.out == ""
        words = " ".join(map(shlex.quote, [sys.executable, "-m", "charloom", *command, "watch.state"]))
        done = subprocess.run(
            ["sh", "-c", f"ulimit -f 0; exec {words} | cat"],  # no file can grow; a pipe can
            cwd=home,
            env=environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "watch.state" in done.stderr.splitlines()[-1]
        assert done.stdout == ""


def test_a_link_to_a_state_stays_one(home: Path, log_model: Path) -> None:
    """Its lock and its contents are those of the file. With --bits, the score of a line is bits."""
    (home / "link").symlink_to("watch.state")
    command = ["watch", str(log_model), "app.log", "--no-follow", "--bits", "20"]
    first = call(home, *command, "--state", "link")
    assert first.out.startswith("[")
    assert " bits] " in first.out.splitlines()[0]
    assert (home / "link").is_symlink()
    assert call(home, *command, "--state", "watch.state").out == ""  # it continues at the end of the log


@pytest.mark.parametrize(("score", "count"), [("bits", 1), ("", 1), ("rarity", 0)])
def test_messages_of_another_score_are_reported_again(score: str, count: int, home: Path, log_model: Path) -> None:
    """Bits are larger numbers than rarities, and would hide them."""
    command = ["watch", str(log_model), "app.log", "--no-follow"]
    call(home, *command, "--state", "first")
    reported = dict.fromkeys(WatchState.load(home / "first").reported, 1000.0)
    assert reported
    WatchState(reported=reported, score=score).save(home / "second")
    assert call(home, *command, "--state", "second").out.count(_ODD.strip()) == count


def test_contradictions(log_model: Path, tmp_path: Path) -> None:
    for value in ("nan", "inf", "-inf", "-1", "0", "1e400"):
        message = call(tmp_path, "watch", log_model, "--bits", value).error(2)
        assert message == f"--bits is {float(value)}: it must be a finite number above 0"
    for value in ("nan", "inf", "-1", "0", "0.5", "1e13"):
        message = call(tmp_path, "watch", log_model, "--alerts-per", value).error(2)
        assert message == f"--alerts-per is {float(value)}: it must be from 1 to 1e+12"
    for words, message in {
        ("--bits", "many"): "--bits is 'many': it must be a number",
        ("--alerts-per",): "--alerts-per requires a value",
        ("--bits", "5", "--alerts-per", "5"): "--bits and --alerts-per contradict each other",
    }.items():
        assert call(tmp_path, "watch", log_model, *words).error(2).startswith(message)
    message = call(tmp_path, "watch", log_model, "old.log.gz").error(2)
    assert message.startswith("old.log.gz: compressed files are not followed")
