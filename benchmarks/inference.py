"""How fast is inference with recurrent layers, compared with PyTorch, onnxruntime and OpenVINO?

Layers in evaluation, without gradients: one time step at batch 1 (a stream), long single sequences, and a batch, in
float32 and, for layers with more than 1 MB of weights, in bfloat16 and int8. A step of a language model (embedding,
layer, logits of 100 tokens), against the same modules in PyTorch and against the layer alone. Packed sequences and
resets, forward and backward, against PyTorch's packed and padded calls and a Python loop. Contestants take turns in one
run; each peer is in a process of its own. The floor is the larger of two times, both measured in the same rounds:
reading the weights once per call at the speed at which a dot product reads memory of that size, and the arithmetic at
the rate of a large product, PyTorch's or NumPy's, whichever is faster. ``errors`` in the results: the distance of
outputs of frozen layers in bfloat16 and int8 from those in float32 over 200 steps, relative, in norm.
"""

import argparse
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from alternate import machine, write_result
from peers.workers import Worker

# By form of the call; each name with the worker that measures it.
_CONTESTANTS = {
    "plain": {
        "pytorch": "inference_torch",
        "charloom": "inference_torch",
        "charloom frozen": "inference_torch",
        "onnxruntime": "onnxruntime",
        "openvino": "openvino",
    },
    "packed": dict.fromkeys(("pytorch", "pytorch padded", "charloom", "charloom padded"), "inference_torch"),
    "resets": dict.fromkeys(("pytorch", "charloom", "charloom without resets"), "inference_torch"),
    "language model": dict.fromkeys(
        ("pytorch", "charloom", "charloom frozen", "charloom frozen layer alone"), "inference_torch"
    ),
}
# For layers with more than 1 MB of weights.
_FEWER_BITS = {
    "charloom bfloat16": "inference_torch",
    "charloom int8": "inference_torch",
    "pytorch int8": "inference_torch",
    "onnxruntime int8": "onnxruntime",
}
_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class InferenceRow:
    """Sizes of a layer and of its input.

    Attributes:
        cell: Kind of layer: rnn, gru or lstm.
        inputs: Number of input features.
        hidden: Number of hidden units.
        layers: Number of layers.
        steps: Number of time steps of a call.
        batch: Number of sequences.
        form: plain; language model (around the layer); or packed (a batch of random lengths, ``steps`` the largest) or
            resets (2% of the steps), both forward and backward.
        threads: Number of threads.
    """

    cell: str
    inputs: int
    hidden: int
    layers: int
    steps: int
    batch: int
    form: str = "plain"
    threads: int = 1

    @property
    def name(self) -> str:
        """Name of the row, for example ``lstm 80-256 x2, 200 steps, batch 1``."""
        layers = f" x{self.layers}" if self.layers > 1 else ""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        form = "" if self.form == "plain" else f", {self.form}"
        return f"{self.cell} {self.inputs}-{self.hidden}{layers}, {steps}, batch {self.batch}{form}"

    @property
    def num_weights(self) -> int:
        """Number of weights without biases."""
        columns = self.inputs + self.hidden + (self.layers - 1) * 2 * self.hidden
        return _GATES[self.cell] * self.hidden * columns


ROWS = [
    InferenceRow("lstm", 40, 128, 1, 1, 1),
    InferenceRow("lstm", 80, 256, 2, 1, 1),
    InferenceRow("lstm", 512, 512, 2, 1, 1),
    InferenceRow("gru", 512, 512, 1, 1, 1),
    *(InferenceRow(cell, 16, hidden, 1, 1, 1) for cell in ("gru", "lstm") for hidden in (32, 64)),
    InferenceRow("lstm", 40, 128, 1, 100, 1),
    InferenceRow("lstm", 80, 256, 2, 200, 1),
    InferenceRow("gru", 80, 256, 2, 200, 1),
    InferenceRow("lstm", 512, 512, 2, 100, 1),
    InferenceRow("lstm", 80, 256, 2, 1, 8),
    InferenceRow("lstm", 80, 256, 2, 100, 32),
    InferenceRow("gru", 80, 256, 2, 100, 32),
    InferenceRow("rnn", 80, 256, 2, 100, 32),
    *(InferenceRow("lstm", 64, hidden, 1, 1, 1, "language model") for hidden in (128, 256, 512)),
    *(InferenceRow(cell, 256, 256, 1, 400, 64, "packed") for cell in ("gru", "lstm")),
    *(InferenceRow(cell, 256, 256, 1, 100, 32, "resets") for cell in ("gru", "lstm")),
]


def measure_row(row: InferenceRow, rounds: int) -> dict[str, Any]:
    """Returns the latencies of each contestant in each round, the floor, and the contestants that failed."""
    contestants = _CONTESTANTS[row.form]
    if row.form == "plain" and 4 * row.num_weights > 10**6:
        contestants = contestants | _FEWER_BITS
    workers: dict[str, Worker] = {}
    absent: dict[str, str] = {}
    for name, peer in contestants.items():
        try:
            workers[peer] = workers.get(peer) or Worker(peer, row.threads)
        except RuntimeError as error:
            absent[name] = str(error)
    steps = (10 + row.steps) / 2 if row.form == "packed" else row.steps  # the mean of the random lengths
    trains = row.form in ("packed", "resets")
    # A backward pass has twice the arithmetic of the forward pass.
    flops = 2.0 * row.num_weights * steps * row.batch * (3 if trains else 1)
    # About 0.1 s per measurement, from an assumed rate and a fixed overhead.
    repeats = max(2 if trains else 5, int(0.1 / (flops / 5e10 + 4e-5)))
    sizes = {**asdict(row), "weight_bytes": 4 * row.num_weights}

    def measure(peer: str, contestant: str, repeats: int) -> dict[str, Any]:
        return workers[peer].measure({**sizes, "contestant": contestant, "repeats": repeats, "latencies": True})

    latencies: dict[str, list[dict[str, float]]] = {name: [] for name in contestants if name not in absent}
    floors: list[float] = []
    try:
        for _ in range(rounds):
            reading = measure("inference_torch", "bandwidth", 50)["median"]
            product = min(measure("inference_torch", f"{name} rate", 5)["median"] for name in ("pytorch", "numpy"))
            floors.append(max(reading, flops * product / (2 * 1024**3)))
            for name in list(latencies):
                answer = measure(contestants[name], name, repeats)
                if "refused" in answer:
                    absent[name] = answer["refused"]
                    del latencies[name]
                else:
                    latencies[name].append(answer)
    finally:
        for worker in workers.values():
            worker.close()
    medians = {name: [answer["median"] for answer in answers] for name, answers in latencies.items()}
    return {
        "row": asdict(row),
        "floor_seconds": statistics.median(floors),
        "median_seconds": medians,
        "p99_seconds": {name: [answer["p99"] for answer in answers] for name, answers in latencies.items()},
        "ratio": {
            contestant: {
                peer: statistics.median(a / b for a, b in zip(medians[contestant], medians[peer], strict=True))
                for peer in ("pytorch", "onnxruntime")
                if peer in medians
            }
            for contestant in medians
        },
        "absent": absent,
    }


def measure_errors() -> dict[str, dict[str, float]]:
    """Returns the relative errors of bfloat16 and int8 by cell, for two layers of 256 units with PyTorch's weights."""
    import torch

    import charloom

    errors: dict[str, dict[str, float]] = {}
    with torch.no_grad():
        for cell in _GATES:
            torch.manual_seed(0)
            layer: Any = getattr(charloom.layers, cell.upper())(80, 256, 2)
            inputs = torch.randn(200, 8, 80)
            expected, _ = charloom.freeze(layer)(inputs)
            errors[cell] = {}
            for precision in ("bfloat16", "int8"):
                layer.precision = precision
                found, _ = charloom.freeze(layer)(inputs)
                errors[cell][precision] = float((found - expected).norm() / expected.norm())
    return errors


def print_row(title: str, result: dict[str, Any]) -> None:
    """Prints the results of a row."""
    print(f"{title}: floor {result['floor_seconds'] * 1e6:.1f} us")
    for name, times in result["median_seconds"].items():
        median, p99 = statistics.median(times), statistics.median(result["p99_seconds"][name])
        ratios = "   ".join(f"{ratio:5.2f} of {peer}" for peer, ratio in result["ratio"][name].items())
        print(f"  {name:23s} {median * 1e6:10.1f} us   p99 {p99 * 1e6:10.1f} us   {ratios}")
    for name, reason in result["absent"].items():
        print(f"  {name:23s} absent: {reason}")


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", nargs="*", default=[], help="parts of the names of rows to measure")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for row in ROWS:
        if options.rows and not any(part in row.name for part in options.rows):
            continue
        results[row.name] = measure_row(row, options.rounds)
        print_row(row.name, results[row.name])
    errors = measure_errors()
    print("relative errors:", errors)
    write_result("inference", {"question": __doc__, "results": results, "errors": errors, "machine": machine()})


if __name__ == "__main__":
    main()
