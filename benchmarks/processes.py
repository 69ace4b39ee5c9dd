"""How much faster do two processes train than one, each with one thread on a core of its own?

Both use ``charloom.train`` with the same global minibatch. The peer is one process with one thread; the ratio is that
of characters per second. It is not meaningful if other programs use the second core. The benchmark therefore also gives
the CPU time of one process divided by that of the first of two processes, including messages, which approximates
the ratio on two idle cores. It also measures the time of one message with all gradients, and computes its bytes by the
formula: 2 (W - 1) / W x 4 bytes per parameter, step and process.
"""

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

import charloom
from alternate import alternate, machine, write_result
from charloom.training.processes import Processes, init_processes
from rows import ROWS, VOCABULARY, Row

_PROCESSES = 2
_SECONDS = {"rnn": 1.5, "lstm": 4.0}
"""Approximate seconds of one process in a round, from which the number of steps is computed."""
_FLOPS_PER_SECOND = 8e10


def _corpus(row: Row, num_batches: int) -> charloom.Corpus:
    """Returns random letters for one epoch of ``num_batches`` minibatches, with the section's vocabulary size."""
    length = row.batch * row.steps * num_batches + row.steps
    letters = [chr(ord("A") + number) for number in range(VOCABULARY - 1)]
    drawn = torch.randint(len(letters), (length,), generator=torch.Generator().manual_seed(1)).tolist()
    return charloom.corpus_from("".join(letters) + "".join(letters[number] for number in drawn), name="random")


def _model(row: Row, vocabulary: charloom.Vocabulary) -> charloom.LanguageModel:
    cell: Any = row.cell
    settings = charloom.ModelSettings(cell=cell, hidden_size=row.hidden, num_layers=row.layers, init_sigma=0)
    return charloom.build_model(vocabulary, settings, seed=1)


def _contestants(
    row: Row, num_batches: int, processes: Processes, processor_seconds: dict[str, list[float]]
) -> dict[str, Callable[[], object]]:
    """Returns the runs of one and of two processes, which append their times to ``processor_seconds``."""
    corpus = _corpus(row, num_batches)
    model = _model(row, corpus.vocabulary)
    settings = charloom.TrainingSettings(
        batch_size=row.batch,
        num_steps=row.steps,
        epochs=1,
        threads=1,
        device="cpu",
        sample_every=0,
        validation_fraction=0,
        optimizer="sgd" if row.cell == "rnn" else "adamw",
        learning_rate=0.001,
    )

    def measured(name: str, processes: Processes) -> None:
        start = time.process_time()
        charloom.train(model, corpus, settings, processes=processes)
        processor_seconds.setdefault(name, []).append(time.process_time() - start)

    def one() -> None:
        if processes.is_rank_zero:
            measured("one", Processes())

    return {"one": one, "two": lambda: measured("two", processes)}


def _ratio(one: list[float], two: list[float]) -> dict[str, float]:
    ratios = sorted(a / b for a, b in zip(one, two, strict=True))
    return {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}


def _message_seconds(model: charloom.LanguageModel) -> float:
    """Returns the median time in seconds of a message with all gradients."""
    flat = torch.zeros(sum(parameter.numel() for parameter in model.parameters()))
    seconds = []
    for _ in range(40):
        distributed.barrier()
        start = time.perf_counter()
        distributed.all_reduce(flat)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _measure(rank: int, port: int, rows: list[Row], rounds: int) -> None:
    """Runs one of the two processes; the process with rank 0 measures and writes the results."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(_PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    with init_processes("cpu") as processes:
        for row in rows:
            num_batches = max(10, int(_SECONDS[row.cell] * _FLOPS_PER_SECOND / row.flops))
            processor_seconds: dict[str, list[float]] = {}
            seconds = alternate(_contestants(row, num_batches, processes, processor_seconds), rounds)
            for values in processor_seconds.values():
                del values[0]  # the uncounted warm-up round
            model = _model(row, _corpus(row, 1).vocabulary)
            message = _message_seconds(model)
            if not processes.is_rank_zero:
                continue
            ratio, processor_ratio = (_ratio(each["one"], each["two"]) for each in (seconds, processor_seconds))
            parameters = sum(parameter.numel() for parameter in model.parameters())
            results[row.name] = {
                "ratio": ratio,
                "processor_time_ratio": processor_ratio,
                "seconds": seconds,
                "processor_seconds": processor_seconds,
                "steps": num_batches,
                "chars_per_step": row.batch * row.steps,
                "milliseconds_per_step": {k: 1000 * statistics.median(v) / num_batches for k, v in seconds.items()},
                "milliseconds_per_message": 1000 * message,
                "parameters": parameters,
                "bytes_sent_per_step": 2 * (_PROCESSES - 1) * 4 * parameters // _PROCESSES,
            }
            print(row.name, {k: v for k, v in results[row.name].items() if "seconds" not in k}, flush=True)
    if results:
        write_result("processes", {"question": __doc__, "results": results, "machine": machine()})


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", nargs="+", default=["rnn 256", "lstm 512"])
    options = parser.parse_args()
    rows = [row for row in ROWS if row.name in options.rows]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn(_measure, (port, rows, options.rounds), nprocs=_PROCESSES)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
