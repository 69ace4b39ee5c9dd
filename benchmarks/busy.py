"""How long do PyTorch's default threads take on a busy machine, relative to one thread?

Training, evaluation and generation run in one process, after PyTorch has created its thread pool: alone, with as many
busy loops as processors, and with a second run of the same number of threads. Default and one thread take turns; each
round gives the ratio of their times. Alone, a ratio below 1 is the gain from the threads.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

import charloom
from alternate import alternate, machine, write_result

_LOOP = [sys.executable, "-c", "while True: pass"]
_TRAINED = {
    "rnn 256, batch 32": ("rnn", 32, "sgd", 900),
    "rnn 256, batch 4": ("rnn", 4, "sgd", 4000),
    "gru 256, batch 32": ("gru", 32, "adamw", 250),
    "gru 256, batch 4": ("gru", 4, "adamw", 1200),
    "lstm 256, batch 32": ("lstm", 32, "adamw", 150),
    "lstm 256, batch 4": ("lstm", 4, "adamw", 700),
}
"""Cell, batch size, optimizer, and number of minibatches, for a second or two of training."""
_NUM_STEPS, _VOCABULARY = 35, 80


def _model_and_corpus(cell: Any, num_chars: int) -> tuple[charloom.LanguageModel, charloom.Corpus]:
    letters = [chr(ord("0") + number) for number in range(_VOCABULARY - 1)]
    drawn = torch.randint(len(letters), (num_chars,), generator=torch.Generator().manual_seed(1)).tolist()
    corpus = charloom.corpus_from("".join(letters[number] for number in drawn), name="random")
    settings = charloom.ModelSettings(cell=cell, hidden_size=256)
    return charloom.build_model(corpus.vocabulary, settings, seed=1), corpus


def _training(name: str) -> Callable[[], object]:
    cell, batch, optimizer, num_batches = _TRAINED[name]
    model, corpus = _model_and_corpus(cell, batch * _NUM_STEPS * num_batches)
    settings = charloom.TrainingSettings(
        batch_size=batch,
        num_steps=_NUM_STEPS,
        epochs=1,
        optimizer=optimizer,  # type: ignore[arg-type]
        learning_rate=0.001,
        sample_every=0,
        validation_fraction=0.1,
        device="cpu",
    )
    return lambda: charloom.train(model, corpus, settings)


def _work() -> dict[str, Callable[[], object]]:
    model, corpus = _model_and_corpus("lstm", 60_000)
    text = str(corpus.text)
    return {name: _training(name) for name in _TRAINED} | {
        "evaluate, lstm 256": lambda: charloom.evaluate(model, text),
        "generate, lstm 256": lambda: charloom.generate(model, text[:100], 15_000),
    }


def _with_threads(
    threads: int, run: Callable[[], object], second_run: subprocess.Popen[bytes] | None
) -> Callable[[], None]:
    """Returns the run with PyTorch's number of threads set; the second run is resumed for that time only."""

    def contestant() -> None:
        torch.set_num_threads(threads)
        if second_run:
            second_run.send_signal(signal.SIGCONT)
        try:
            run()
        finally:
            if second_run:
                second_run.send_signal(signal.SIGSTOP)

    return contestant


@contextlib.contextmanager
def _processes(commands: list[list[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command)) for command in commands]
        for process in processes:
            stack.callback(process.kill)
        yield processes


def _measure(run: Callable[[], object], default: int, rounds: int) -> dict[str, list[float]]:
    return alternate({"default": _with_threads(default, run, None), "one": _with_threads(1, run, None)}, rounds)


def _measure_with_second_run(name: str, run: Callable[[], object], default: int, rounds: int) -> dict[str, list[float]]:
    commands = [[sys.executable, __file__, "--second-run", name, "--threads", str(n)] for n in (default, 1)]
    with _processes(commands) as (second, second_of_one):
        time.sleep(8)  # imports of both processes
        for process in (second, second_of_one):
            process.send_signal(signal.SIGSTOP)
        return alternate(
            {"default": _with_threads(default, run, second), "one": _with_threads(1, run, second_of_one)}, rounds
        )


def _ratio(seconds: dict[str, list[float]]) -> dict[str, float]:
    ratios = sorted(a / b for a, b in zip(seconds["default"], seconds["one"], strict=True))
    return {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--loops", type=int, default=os.cpu_count(), help="number of busy loops; default: one per processor"
    )
    parser.add_argument("--second-run", help=argparse.SUPPRESS)
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        help="number of threads of the default; default: PyTorch's",
    )
    options = parser.parse_args()
    work = _work()
    if options.second_run:
        torch.set_num_threads(options.threads)
        while True:
            work[options.second_run]()
    results: dict[str, Any] = {}
    for name, run in work.items():
        seconds = {"alone": _measure(run, options.threads, options.rounds)}
        with _processes([_LOOP] * options.loops):
            seconds["busy loops"] = _measure(run, options.threads, options.rounds)
        seconds["second run"] = _measure_with_second_run(name, run, options.threads, options.rounds)
        results[name] = {load: {"seconds": s, "default_over_one": _ratio(s)} for load, s in seconds.items()}
        ratios = {load: result["default_over_one"] for load, result in results[name].items()}
        parts = (f"{load} {r['median']:.2f} ({r['min']:.2f} to {r['max']:.2f})" for load, r in ratios.items())
        print(f"{name:20s} default over one: {', '.join(parts)}")
    torch.set_num_threads(options.threads)
    write_result("busy", {"question": __doc__, "loops": options.loops, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
