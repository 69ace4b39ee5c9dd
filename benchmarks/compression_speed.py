"""How many characters a second are compressed and decompressed, with how much memory, beside xz and zpaq?

A text of 4 MiB that an RNN 256 wrote itself, at temperature 1, in sessions as files have them: after the first 64 KiB,
which are not counted, processor time of one thread, for each instruction set, with the network alone (64 lanes) and
mixing (one stream, 16 lanes). Then whole processes of ``charloom compress`` on 8 MiB: two threads against one, and the
peak of their memory.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import charloom
from alternate import machine, write_result
from charloom import SamplingSettings
from charloom.codec.engines.engine import BLOCK, Engine
from charloom.codec.engines.native import NativeEngine, supported
from charloom.codec.format.segments import interleave
from charloom.codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom.codec.model.priming import Priming
from compressors.ours import make_model
from compressors.texts import TEXTS, Recipe

_RECIPES = {"rnn 256": Recipe(256, 2, 0.1, 32, "rnn"), "lstm 512": Recipe(512, 1, 0.1, 32)}
_CODINGS = {"fast, 64 lanes": (True, 64), "mixing, one stream": (False, 1), "mixing, 16 lanes": (False, 16)}
_LENGTH = 4 << 20


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="keep the models there, and take those that are there already")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="that are counted of a session, about")
    parser.add_argument("--skip-processes", action="store_true", help="sessions only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.models or Path(temporary)
        first = TEXTS[0].parts()[0]
        for name, recipe in _RECIPES.items():
            make_model(first, recipe, "bfloat16", folder / name.replace(" ", ""))
        text = _written_by(folder / "rnn256")
        result: dict[str, Any] = {"characters_a_second": {}}
        for name in _RECIPES:
            found = _measure_sessions(folder / name.replace(" ", ""), text, options.rounds, options.seconds)
            result["characters_a_second"][name] = found
        if not options.skip_processes:
            result["peers"] = _measure_peers(text)
            result["processes"] = _measure_processes(folder / "rnn256", text, Path(temporary))
    write_result("compression_speed", {"question": __doc__, **result, "machine": machine()})


def _written_by(folder: Path) -> bytes:
    """A text that the model predicts as well as its own kind; kept beside the model."""
    file = folder / "written.txt"
    if not file.exists():
        model = charloom.LanguageModel.load(folder)
        sampling = SamplingSettings(temperature=1.0, seed=1)
        texts = charloom.generate_samples(model, "\n", _LENGTH // 16, sampling, num_samples=16)
        file.write_text("".join(texts))
    return file.read_bytes()[:_LENGTH]


def _engine(folder: Path, instruction_set: str, fast: bool) -> Engine:
    model, _ = IntegerModel.load(folder / INTEGER_MODEL_FILE)
    return NativeEngine(model, None if fast else Priming.load(folder), instruction_set)


def _measure_sessions(folder: Path, text: bytes, rounds: int, seconds: float) -> dict[str, Any]:
    """By instruction set and coding: characters a second, of each round's best."""
    found: dict[str, Any] = {}
    for instruction_set in supported():
        engines = {fast: _engine(folder, instruction_set, fast) for fast in (True, False)}
        for coding, (fast, lanes) in _CODINGS.items():
            speeds = [_measure_session(engines[fast], lanes, text, seconds) for _ in range(rounds)]
            best = {way: round(max(speed[way] for speed in speeds)) for way in ("compress", "decompress")}
            found.setdefault(instruction_set, {})[coding] = best
            thousands = ", ".join(f"{way} {speed / 1e3:7.1f} k" for way, speed in best.items())
            print(f"{folder.name:8s} {instruction_set:11s} {coding:19s} {thousands} characters a second", flush=True)
    return found


def _measure_session(engine: Engine, lanes: int, text: bytes, seconds: float) -> dict[str, float]:
    data = interleave(text, lanes)
    parts = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    session = engine.begin(lanes)
    payloads = [session.encode(parts[0])]
    began = time.thread_time()
    while time.thread_time() - began < seconds and len(payloads) < len(parts):
        payloads.append(session.encode(parts[len(payloads)]))
    counted = (len(payloads) - 1) * BLOCK
    speeds = {"compress": counted / (time.thread_time() - began)}
    session = engine.begin(lanes)
    decoded = [session.decode(payloads[0], BLOCK)]
    began = time.thread_time()
    decoded += [session.decode(payload, BLOCK) for payload in payloads[1:]]
    speeds["decompress"] = counted / (time.thread_time() - began)
    assert decoded == parts[: len(decoded)]
    return speeds


def _run(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds by the clock and of processors, and the peak of memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"{command[0]} failed")
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_megabytes": round(usage.ru_maxrss * 1024 / 1e6),
    }


def _measure_peers(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "text").write_bytes(text)
        for name, command in (
            ("xz -9e", ["xz", "-9e", "-k", "-T1", "text"]),
            ("zpaq -m5", ["zpaq", "a", "archive.zpaq", "text", "-m5", "-t1"]),
        ):
            if not shutil.which(command[0]):
                print(f"{name}: not installed")
                continue
            found[name] = _run(command, folder)
            speed = len(text) / found[name]["processor_seconds"]
            found[name]["characters_a_second"] = round(speed)
            print(f"{name:8s} compress {speed / 1e3:7.1f} k characters a second", flush=True)
    return found


def _measure_processes(model: Path, text: bytes, folder: Path) -> dict[str, Any]:
    """Two segments, so that two threads have something to share."""
    (folder / "text").write_bytes(text * 2)
    found: dict[str, Any] = {}
    charloom_command = [sys.executable, "-m", "charloom"]
    for fast in (False, True):
        for threads in (1, 2):
            options = ["-m", str(model.resolve()), "-f", "--threads", str(threads), *(["--fast"] if fast else [])]
            ways = {
                "compress": [*charloom_command, "compress", "text", "-o", "text.loom", *options],
                "decompress": [*charloom_command, "decompress", "text.loom", "-o", "back", *options[:5]],
            }
            for way, command in ways.items():
                name = f"{'fast' if fast else 'mixing'}, {way}, {threads} thread{'s' if threads > 1 else ''}"
                found[name] = _run(command, folder)
                print(f"{name:32s} {json.dumps(found[name])}", flush=True)
            assert (folder / "back").read_bytes() == text * 2
    for name, one in list(found.items()):
        if name.endswith("1 thread"):
            two = found[name.replace("1 thread", "2 threads")]
            print(f"{name[:-10]}: two threads are {one['seconds'] / two['seconds']:.2f} times as fast as one")
    return found


if __name__ == "__main__":
    main()
