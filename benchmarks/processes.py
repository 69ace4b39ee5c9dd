"""How much faster do two processes train than one, each with one thread on a core of its own?

The same global minibatch, training as shipped. The peer is one process with one thread; the ratio is of characters a
second. Where other programs take the second core it says little: so beside it the processor time of the one process
over that of the first of two, messages included, which is about what the ratio would be on two free cores. And what the
other process costs: one message with all gradients alone, and the bytes of it by the formula, 2 (W - 1) / W x 4 bytes
for each parameter, a step and process.
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
"""What one process is to take in a round, about; the number of steps follows from the arithmetic."""
_FLOPS_PER_SECOND = 8e10


def _corpus(row: Row, num_batches: int) -> charloom.Corpus:
    """One epoch of so many minibatches, of random letters: as many different ones as the section's text has."""
    length = row.batch * row.steps * num_batches + row.steps
    letters = [chr(ord("A") + number) for number in range(VOCABULARY - 1)]
    drawn = torch.randint(len(letters), (length,), generator=torch.Generator().manual_seed(1)).tolist()
    return charloom.corpus_from("".join(letters) + "".join(letters[number] for number in drawn), name="made")


def _model(row: Row, vocabulary: charloom.Vocabulary) -> charloom.LanguageModel:
    cell: Any = row.cell
    settings = charloom.ModelSettings(cell=cell, hidden_size=row.hidden, num_layers=row.layers, init_sigma=0)
    return charloom.build_model(vocabulary, settings, seed=1)


def _contestants(
    row: Row, num_batches: int, processes: Processes, processor_seconds: dict[str, list[float]]
) -> dict[str, Callable[[], object]]:
    """processor_seconds: Filled with this process', each time."""
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
        began = time.process_time()
        charloom.train(model, corpus, settings, processes=processes)
        processor_seconds.setdefault(name, []).append(time.process_time() - began)

    def one() -> None:
        if processes.first:
            measured("one", Processes())

    return {"one": one, "two": lambda: measured("two", processes)}


def _ratio(one: list[float], two: list[float]) -> dict[str, float]:
    ratios = sorted(a / b for a, b in zip(one, two, strict=True))
    return {"median": statistics.median(ratios), "min": ratios[0], "max": ratios[-1]}


def _message_seconds(model: charloom.LanguageModel) -> float:
    """Of one message with all gradients; the median of many."""
    flat = torch.zeros(sum(parameter.numel() for parameter in model.parameters()))
    seconds = []
    for _ in range(40):
        distributed.barrier()
        began = time.perf_counter()
        distributed.all_reduce(flat)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _measure(rank: int, port: int, rows: list[Row], rounds: int) -> None:
    """One of the two processes; the first one measures and writes, the other only takes part."""
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
                del values[0]  # of the round that is not counted
            model = _model(row, _corpus(row, 1).vocabulary)
            message = _message_seconds(model)
            if not processes.first:
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
                "milliseconds_a_step": {k: 1000 * statistics.median(v) / num_batches for k, v in seconds.items()},
                "milliseconds_a_message": 1000 * message,
                "parameters": parameters,
                "bytes_sent_a_step": 2 * (_PROCESSES - 1) * 4 * parameters // _PROCESSES,
            }
            print(row.name, {k: v for k, v in results[row.name].items() if "seconds" not in k}, flush=True)
    if results:
        write_result("processes", {"question": __doc__, "results": results, "machine": machine()})


def main() -> None:
    """Runs the benchmark."""
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
