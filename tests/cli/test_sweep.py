"""``charloom sweep``, as a real process if the process is the point.

Within the tests' process workers are forked, which is faster (``forked_workers``).
"""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

import charloom
from charloom.errors import pluralize
from charloom.sweeps.folder import SweepFolder
from charloom.sweeps.plan import PlannedRun
from charloom.sweeps.results import SweepRun
from forked_workers import workers_forked
from process import PATIENCE, SMALL, call, start, wait_until

_TEXT = "A fox, a dog and a crow.\nThe crow had a piece of cheese; the fox had an idea.\n" * 20
_VARY = ["--vary", "hidden-size=4,8", "--vary", "dropout=0,0.5", "--validation-fraction", "0.1"]
_FIXED = [option for option in SMALL if option not in ("--hidden-size", "16")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "fable.txt").write_text(_TEXT, encoding="utf-8")
    return tmp_path


def _results(out: Path) -> dict[str, Any]:
    """Returns the results of the runs in a folder, without times."""
    return {
        run.parent.name: [
            (record["perplexity"], record["validation_perplexity"])
            for record in map(json.loads, (run.parent / "history.jsonl").read_text().splitlines())
        ]
        for run in out.glob("runs/*/run.json")
    }


@pytest.mark.usefixtures("forked_workers")
def test_a_sweep_and_its_files(home: Path) -> None:
    options = ["fable.txt", *_FIXED, *_VARY, "--output", "out", "--epochs", "2"]
    out = call(home, "sweep", *options, "--jobs", "1").done()
    assert "recipe own-text, 4 runs; " in out
    table = re.findall(r"^(\d+) +(0\.\d) +(\d+\.\d{3}) +\d+\.\d{3} +\d+ +\d+\.\d{3} +\d+\.\d +1$", out, re.MULTILINE)
    assert sorted(row[:2] for row in table) == [("4", "0.0"), ("4", "0.5"), ("8", "0.0"), ("8", "0.5")]
    figures = [float(row[2]) for row in table]
    assert figures == sorted(figures)
    assert "standard deviations" not in out  # a single seed has none
    assert len(_results(home / "out")) == 4
    before = _results(home / "out")

    more = call(home, "sweep", *options, "--num-seeds", "2", "--jobs", "2", "--keep-models").done()
    assert "8 runs, 4 already done" in more  # runs without a model are repeated
    assert " ± " in more
    assert "means and standard deviations over seeds" in more
    after = _results(home / "out")
    assert len(after) == 8
    assert before.items() <= after.items()
    folder = next((home / "out" / "runs").iterdir())
    assert "perplexity" in call(home, "evaluate", folder, "fable.txt").done()


@pytest.mark.usefixtures("forked_workers")
def test_a_list_of_combinations(home: Path) -> None:
    (home / "list.toml").write_text(
        '[[combination]]\ncell = "rnn"\nnum_layers = 2\n[[combination]]\ncell = "gru"\nepochs = 1\n'
    )
    options = [
        "fable.txt",
        *SMALL,
        "-o",
        "out",
        "--epochs",
        "2",
        "--combinations",
        "list.toml",
        "--vary",
        "dropout=0,0.1",
    ]
    out = call(home, "sweep", *options).done()
    lines = [json.loads(line) for line in (home / "out" / "results.jsonl").read_text().splitlines()]
    assert sorted((line["cell"], line["num_layers"], line["epochs"], line["dropout"]) for line in lines) == [
        ("gru", 1, 1, 0.0),
        ("gru", 1, 1, 0.1),
        ("rnn", 2, 2, 0.0),
        ("rnn", 2, 2, 0.1),
    ]
    assert "dropout" in out


_SHORT = ["fable.txt", *_FIXED, *_VARY, "--epochs", "2", "--output", "out", "--jobs", "1"]
_LONG = ["fable.txt", *_FIXED, *_VARY, "--epochs", "30", "--output", "out"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a sweep that is not stopped."""
    home = tmp_path_factory.mktemp("undisturbed")
    (home / "fable.txt").write_text(_TEXT, encoding="utf-8")
    with workers_forked():
        call(home, "sweep", *_LONG, "--jobs", "1").done()
    return _results(home / "out")


@pytest.mark.parametrize(
    "number",
    [*(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGTERM)), signal.SIGKILL],
)
@pytest.mark.usefixtures("forked_workers")
def test_a_stopped_sweep_resumes(number: signal.Signals, home: Path, undisturbed: dict[str, Any]) -> None:
    """Its results are the same; after any signal no process is left."""
    process = start(home, "sweep", *_LONG, "--jobs", "2")
    wait_until(lambda: bool(_results(home / "out")), process)
    process.send_signal(number)
    out, errors = process.communicate(timeout=PATIENCE)
    done = len(_results(home / "out"))
    assert 1 <= done < 4
    assert errors == b""
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert (
            f"Stopped by {number.name}: {pluralize(4 - done, 'run')} left; to resume, repeat the command.".encode()
            in out
        )
        assert not (home / "out" / ".work").exists()
    _wait_for_workers_to_end(home / "out")
    result = call(home, "sweep", *_LONG)
    assert f"{pluralize(4 - done, 'run')}, {done} already done" in result.done()
    assert _results(home / "out") == undisturbed
    assert not (home / "out" / ".work").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("forked_workers")
def test_a_signal_to_this_process_after_the_first_run(
    number: signal.Signals, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run = SweepFolder.add_run

    def then_signal(folder: SweepFolder, run: PlannedRun) -> SweepRun:
        found = add_run(folder, run)
        os.kill(os.getpid(), number)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(SweepFolder, "add_run", then_signal)
        result = call(home, "sweep", *_SHORT)
    assert (result.status, result.errors) == (128 + number, "")
    assert f"Stopped by {number.name}: 3 runs left; to resume, repeat the command." in result.out
    assert not (home / "out" / ".work").exists()
    assert "3 runs, 1 already done" in call(home, "sweep", *_SHORT).done()
    assert len(_results(home / "out")) == 4


def _wait_for_workers_to_end(out: Path) -> None:
    """Waits until no worker works in the folder."""
    wait_until(lambda: not any(str(out) in _open_files(process) for process in Path("/proc").glob("[0-9]*")))


def _open_files(process: Path) -> str:
    try:
        return " ".join(str(file.readlink()) for file in (process / "fd").iterdir())
    except OSError:
        return ""


@pytest.mark.usefixtures("forked_workers")
def test_diverged_runs_are_in_the_table(home: Path) -> None:
    options = ["--vary", "learning-rate=1e30,0.01", "--epochs", "1"]
    out = call(home, "sweep", "fable.txt", *SMALL, *options, "--output", "out").done()
    assert "learning_rate=1e+30,seed=0: diverged after 0 epochs" in out
    assert re.search(r"^1e\+30 .* inf .* 1, 1 diverged$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ([], 2, "nothing is varied: pass --vary, --combinations or --num-seeds; the form is --vary NAME=VALUE,VALUE"),
        (["--vary", "hiden-size=4"], 2, "no setting 'hiden-size'; did you mean --hidden-size?"),
        (["--vary", "hidden-size"], 2, "--vary hidden-size: the form is --vary NAME=VALUE"),
        (["--vary", "hidden-size="], 2, "the form is --vary NAME=VALUE"),
        (["--vary", "hidden-size=4,,8"], 2, "--hidden-size is '': it must be an integer"),
        (["--vary", "hidden-size=4,0"], 2, "--hidden-size is 0: it must be an integer, at least 1"),
        (["--vary", "hidden-size=4", "--vary", "hidden-size=8"], 2, "--hidden-size is varied twice"),
        (["--vary", "cell=gru,cnn"], 2, "--cell is 'cnn': it must be one of rnn, gru, lstm"),
        (
            ["--vary", "prefix=a,b"],
            2,
            "--prefix cannot be varied, because it does not affect the trained weights",
        ),
        (["--vary", "seed=1,2"], 2, "--seed cannot be varied; use --num-seeds"),
        (["--vary", "batch-size=4,4000"], 2, "decrease --batch-size or --num-steps"),
        (["-", "--vary", "max-chars=500,600"], 2, "standard input can be read only once"),
        (["--num-seeds", "0"], 2, "--num-seeds is 0"),
        (["--num-seeds", "2", "--jobs", "0"], 2, "--jobs is 0"),
        (["--num-seeds", "1.5"], 2, "--num-seeds is 1.5: it must be an integer"),
        (["--seed", "x"], 2, "--seed"),
        (["--combinations", "none.toml"], 2, "none.toml: no such file"),
        (["--combinations", "fable.txt"], 2, "fable.txt: "),
        (["--combinations", "odd.toml"], 2, "odd.toml: it must consist of [[combination]] tables"),
        (
            ["--combinations", "unknown.toml"],
            2,
            "unknown.toml: combination 2: no setting 'hiden_size'; did you mean hidden_size?",
        ),
        (["--combinations", "wrong.toml"], 2, "wrong.toml: combination 2: hidden_size is 0: it must be an integer"),
        (
            ["--combinations", "ok.toml", "--vary", "epochs=0"],
            2,
            "--epochs is 0: it must be an integer, at least 1 (in the comb",
        ),
        (["--num-seeds", "2", "--output", "fable.txt"], 1, "fable.txt exists, but is not the folder of a sweep"),
        (["--num-seeds", "2", "--output", "fable.txt/out"], 1, "fable.txt/out: cannot be written"),
        (["--num-seeds", "2", "--output", "."], 1, ". exists, but is not the folder of a sweep"),
        (["--vary"], 2, "--vary"),
    ],
)
def test_bad_input(options: list[str], status: int, message: str, home: Path) -> None:
    (home / "odd.toml").write_text("[model]\nhidden_size = 4\n")
    for name, second in (("unknown", "hiden_size = 4"), ("wrong", "hidden_size = 0"), ("ok", "hidden_size = 8")):
        listed = f"[[combination]]\nhidden_size = 4\n[[combination]]\n{second}\n"
        (home / f"{name}.toml").write_text(listed)
    where = [] if "--output" in options else ["--output", "out"]
    assert message in call(home, "sweep", "fable.txt", *SMALL, *where, *options).error(status)
    assert not (home / "out").exists()


def test_an_existing_model_in_the_folder(home: Path) -> None:
    call(home, "train", "fable.txt", *SMALL, "--epochs", "1", "--output", "model").done()
    message = call(home, "sweep", "fable.txt", *SMALL, "--num-seeds", "2", "--output", "model").error()
    assert "is not the folder of a sweep" in message
    assert charloom.LanguageModel.load(home / "model")


def test_a_signal_while_the_text_is_read_ends_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be saved yet, and standard input may never end."""
    monkeypatch.setattr("charloom.sweeps.sweep.load_corpus", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    assert call(home, "sweep", "fable.txt", "--num-seeds", "2", "--output", "out").error(130) == "stopped"
    assert not (home / "out").exists()
