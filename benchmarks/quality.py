"""How good a model do the minutes buy?

Each text is divided: models are trained on its first 90%, and its last 10% is scored in one pass, in nats per
character. Contestants: the recipe own-text; ``charloom train FILE`` without options; ``charloom train FILE --minutes
M``; a plain PyTorch LSTM with the settings that ``--minutes M`` has chosen, given the same minutes; and a small
transformer with nanoGPT's settings for a CPU, given the same minutes. The texts are those in CHARLOOM_DATA and 300,000
characters of Python's standard library, as source code. The contestants take turns, each in a process of its own, whose
whole time is measured. Results of other texts and contestants, from earlier runs, are kept.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import charloom
from alternate import machine, write_result

_RESULTS = Path(__file__).parent / "results" / "quality.json"
_PEERS = {name: Path(__file__).parent / "peers" / f"{name}.py" for name in ("plain_lstm", "transformer")}


def run(contestant: str, folder: Path, seed: int) -> dict[str, float]:
    """Trains and scores a contestant; returns its seconds and nats per character.

    contestant: ``own-text``, ``default``, or ``auto``, ``plain_lstm`` or ``transformer`` with a number of minutes.
    ``plain_lstm`` uses the settings of the last run of ``auto`` with the same minutes.
    """
    training, held_out = folder / "training.txt", folder / "held_out.txt"
    kind, *minutes = contestant.split()
    started = time.perf_counter()
    if kind in _PEERS:
        words = [sys.executable, str(_PEERS[kind]), str(training), str(held_out), *minutes, str(seed)]
        if kind == "plain_lstm":
            model = charloom.LanguageModel.load(folder / f"auto {minutes[0]}")
            words.append(json.dumps(vars(model.settings) | model.provenance["training"]))
        found = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)
        return {"seconds": time.perf_counter() - started, "nats": found["nats"]}
    options = {"own-text": ["--recipe", "own-text"], "default": [], "auto": ["--minutes", *minutes]}[kind]
    words = [sys.executable, "-m", "charloom", "train", str(training), "-o", str(folder / contestant), "--force"]
    subprocess.run([*words, "--seed", str(seed), *options], capture_output=True, check=True)
    seconds = time.perf_counter() - started
    model = charloom.LanguageModel.load(folder / contestant)
    text = held_out.read_text(encoding="utf-8")
    return {"seconds": seconds, "nats": charloom.evaluate(model, text, unknown="skip").nats_per_char}


def measure_text(path: Path, contestants: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Returns the results of all contestants on a text, by seed."""
    text = path.read_text(encoding="utf-8")[: options.max_chars]
    split = int(0.9 * len(text))
    results: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.models or Path(temporary)) / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training.txt").write_text(text[:split], encoding="utf-8")
        (folder / "held_out.txt").write_text(text[split:], encoding="utf-8")
        for seed in range(options.seeds):
            for contestant, found in results.items():
                found.append(run(contestant, folder, seed))
                last = found[-1]
                print(f"{path.name:24s} {contestant:16s} {last['nats']:.4f} nats {last['seconds']:7.1f} s", flush=True)
    return {"characters": len(text), "results": results}


def find_texts(folder: Path) -> list[Path]:
    """Returns the default texts; source code is written to the folder."""
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-m]*.py"))
    source = folder / "python-library.txt"
    source.write_text("".join(path.read_text(encoding="utf-8") for path in modules)[:300_000], encoding="utf-8")
    names = ("alice29.txt", "timemachine.txt", "Linux_2k.log", "tinyshakespeare.txt")
    return [*(Path(os.environ.get("CHARLOOM_DATA", "")) / name for name in names), source]


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", nargs="*", default=["1", "3", "15"], help="time budgets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contestants", nargs="*", default=["own-text", "default", "auto", *_PEERS])
    parser.add_argument("--max-chars", type=int, help="use only the start of each text")
    parser.add_argument("--models", type=Path, help="folder in which the models are kept")
    parser.add_argument("texts", nargs="*", type=Path, help="default: see above")
    options = parser.parse_args()
    contestants = [
        contestant
        for kind in options.contestants
        for contestant in (
            [f"{kind} {minutes}" for minutes in options.minutes] if kind in ("auto", *_PEERS) else [kind]
        )
    ]
    before = json.loads(_RESULTS.read_text())["results"] if _RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for path in options.texts or find_texts(Path(folder)):
            measured = measure_text(path, contestants, options)
            measured["results"] = before.get(path.name, {"results": {}})["results"] | measured["results"]
            means = {name: statistics.mean(one["nats"] for one in found) for name, found in measured["results"].items()}
            before[path.name] = measured | {"mean_nats": means}
            write_result("quality", {"question": __doc__, "results": before, "machine": machine()})


if __name__ == "__main__":
    main()
