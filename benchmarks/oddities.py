"""How many of twelve unusual lines in a log does ``charloom watch`` rank among the first 25?

Into the second half of each log, twelve lines of twelve kinds are inserted at random places: new messages, lines of
other programs, and ordinary lines with one change. A model is trained on the first half with ``--validation-fraction
0.1`` and otherwise the default settings; the second half is scored as ``watch`` scores it, each message once. For
comparison, the same lines are ranked by detectors that need no model.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from alternate import machine, write_result
from charloom.inference.watching import LineScorer, RepeatFilter

_NUM_SHOWN = 25
_DEFAULT_RARITY = 3.0
"""Rarity from which ``watch`` prints a line by default."""


def _start(line: bytes) -> bytes:
    """Returns the first half of the words of a line."""
    words = line.split(b" ")
    return b" ".join(words[: max(3, len(words) // 2)])


def _replace_word(line: bytes) -> bytes:
    words = line.split(b" ")
    (*_, at) = [i for i, word in enumerate(words) if word.isalpha() and len(word) > 3] or [len(words) - 1]
    return b" ".join([*words[:at], b"purple", *words[at + 1 :]])


def _enlarge_number(line: bytes) -> bytes:
    (*_, last) = re.finditer(rb"\d+", line)
    return line[: last.start()] + b"99999999999999999999" + line[last.end() :]


def _repeat_words(line: bytes) -> bytes:
    words = line.split(b" ")
    middle = len(words) // 2
    return b" ".join([*words[:middle], *words[middle : middle + 3], *words[middle:]])


def _swap_case(line: bytes) -> bytes:
    longest = max((word for word in line.split(b" ") if word.isalpha()), key=len, default=b"")
    return line.replace(longest, longest.swapcase(), 1)


_KINDS: dict[str, Callable[[bytes], bytes]] = {
    "new end of a message": lambda line: _start(line) + b" disk /dev/sda3 has failed, replacing it with a spare",
    "crash": lambda line: _start(line) + b" segfault at 0 ip 00007f3c sp 00007ffd error 4",
    "stack trace": lambda _: b'Traceback (most recent call last): File "/usr/lib/app.py", line 12',
    "another format": lambda _: b'2026-11-30T12:00:00Z level=error msg="connection pool exhausted" pool=main',
    "request": lambda _: b"GET /admin.php?id=1%27%20OR%201=1 HTTP/1.1",
    "appended command": lambda line: line + b" rm -rf / executed by user mallory",
    "another word": _replace_word,
    "huge number": _enlarge_number,
    "another character": lambda line: line[:-6] + "\u2603".encode() + line[-5:],
    "end missing": lambda line: line[: len(line) * 2 // 3],
    "words repeated": _repeat_words,
    "other case": _swap_case,
}


def read_halves(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Returns the normal lines of each half. In BGL, the first field labels the lines, and is - for a normal one."""
    lines = path.read_bytes().split(b"\n")[:-1]
    halves = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    if not path.name.startswith("BGL"):
        return halves
    first, second = ([line[2:] for line in half if line.startswith(b"- ")] for half in halves)
    return first, second


def insert_unusual(lines: list[bytes], seed: int) -> tuple[list[bytes], dict[int, str]]:
    """Returns the lines with an unusual one of each kind, and the kinds by index."""
    source = random.Random(seed)
    made = [(kind, change(source.choice(lines))) for kind, change in _KINDS.items()]
    source.shuffle(made)
    places = sorted(source.sample(range(len(lines)), len(made)))
    result, kinds = list(lines), {}
    for number, (place, (kind, line)) in enumerate(zip(places, made, strict=True)):
        result.insert(place + number, line)
        kinds[place + number] = kind
    return result, kinds


def rank(messages: list[list[bytes]], scores: list[float]) -> list[int]:
    """Returns the indices of the lines, the highest score first, without repetitions of a message."""
    repeats, kept = RepeatFilter(), []
    for index, (of_line, score) in enumerate(zip(messages, scores, strict=True)):
        if repeats.is_new(of_line, score):
            kept.append(index)
        repeats.add(of_line, score)
    return sorted(kept, key=lambda index: -scores[index])


def score_trivially(training: list[bytes], lines: list[bytes]) -> dict[str, list[float]]:
    """Returns the scores of detectors that need no model, by name."""

    def grams(line: bytes) -> list[bytes]:
        masked = re.sub(rb"\d+", b"0", line)
        return [masked[i : i + 4] for i in range(len(masked) - 3)]

    known = {gram for line in training for gram in grams(line)}
    words = {word for line in training for word in line.split()}
    return {
        "number of new 4-grams, digits masked": [float(len(set(grams(line)) - known)) for line in lines],
        "number of new words without digits": [
            float(sum(word not in words and not re.search(rb"\d", word) for word in line.split())) for line in lines
        ],
        "length": [float(len(line)) for line in lines],
    }


def measure_log(path: Path, seeds: int, options: list[str]) -> dict[str, Any]:
    """Returns the kinds of the unusual lines that each detector misses, and what ``watch`` prints by default, by seed.

    Args:
        path: The log.
        seeds: Number of runs.
        options: Options of ``charloom train``.
    """
    training, rest = read_halves(path)
    missed: dict[str, list[list[str]]] = {}
    printed: list[dict[str, int]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder, text = Path(temporary) / "model", Path(temporary) / "first.log"
        text.write_bytes(b"\n".join(training) + b"\n")
        words = [sys.executable, "-m", "charloom", "train", str(text), "-o", str(folder)]
        subprocess.run([*words, "--validation-fraction", "0.1", *options], check=True, capture_output=True)
        for seed in range(seeds):
            lines, kinds = insert_unusual(rest, seed)
            found = LineScorer(folder).score([line + b"\n" for line in lines])
            scores = {"watch": [line.surprisal.rarity or 0.0 for line in found], **score_trivially(training, lines)}
            for name, values in scores.items():
                # A detector without a model does not know which bytes are unexpected: words distinguish its messages.
                of_bytes = (line.excess_bits * (name == "watch") for line in found)
                messages = [
                    replace(line, excess_bits=bits).find_messages() for line, bits in zip(found, of_bytes, strict=True)
                ]
                ranked = rank(messages, values)
                shown = ranked[:_NUM_SHOWN]
                if name == "watch":
                    unusual = [index in kinds for index in ranked if values[index] >= _DEFAULT_RARITY]
                    printed.append({"unusual": sum(unusual), "others": len(unusual) - sum(unusual)})
                    print(f"{path.name}, seed {seed}: watch prints {printed[-1]}")
                of_seed = [kind for index, kind in kinds.items() if index not in shown]
                missed.setdefault(name, []).append(of_seed)
                print(f"{path.name}, seed {seed}, {name}: found {len(kinds) - len(of_seed)}; missed {of_seed}")
    return {"missed": missed, "printed": printed}


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="*", type=Path, help="default: the logs in CHARLOOM_DATA")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", help="time for training each model; default: the default epochs")
    options = parser.parse_args()
    data = Path(os.environ.get("CHARLOOM_DATA", ""))
    logs = options.logs or [data / name for name in ("BGL_2k.log", "HDFS_2k.log", "Linux_2k.log")]
    training = ["--minutes", options.minutes] if options.minutes else []
    results = {path.name: measure_log(path, options.seeds, training) for path in logs}
    write_result("oddities", {"question": __doc__, "logs": results, "machine": machine()})


if __name__ == "__main__":
    main()
