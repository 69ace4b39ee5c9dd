"""Fits the corrector of the mixture, and writes its weights to a file.

A network is trained on the first part of each text, and the mixture predicts the rest of it. The corrector learns from
the inputs and outputs of the mixture for each decision which predictions to trust. Texts: English novels and a log of
the data folder (english/*.txt, BGL_2k.log), Python's standard library and C headers of this machine. Another machine
gives a slightly different corrector. None of the texts is one of ``scripts/bench compression``. A new corrector is a
new version of the engine: add it to VERSIONS in codec/engines/engine.py, and keep the file of the earlier version.
"""

import argparse
import sysconfig
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from charloom_codec.engines.native import NativeEngine, choose_instruction_set
from charloom_codec.model.corrector import CATEGORIES, COUNTS, INPUTS, UNITS, Corrector
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE, IntegerModel
from charloom_codec.model.priming import Priming
from charloom_codec.reference.contexts import CONTEXTS, FULL
from charloom_codec.reference.memory import APMS
from compressors.ours import make_model
from compressors.texts import data_folder

_BATCH = 4096
_FIRST = np.cumsum([0, *CATEGORIES[:-1]])
_MEAN = INPUTS - CONTEXTS - FULL - APMS - 1
"""Index of the input that is corrected: the logit of the mixture's prediction."""


@dataclass(frozen=True)
class Source:
    """A text to learn from: its first part, the rest, and options of ``charloom train``."""

    first: bytes
    rest: bytes
    options: tuple[str, ...]


def main() -> None:
    """Fits the corrector and writes its file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="file to write, such as corrector.safetensors")
    parser.add_argument("--models", type=Path, help="folder for the networks; existing ones are reused")
    parser.add_argument("--passes", type=float, default=10.0, help="passes through all decisions")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.models or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rows = []
        for name, source in _sources().items():
            make_model(source.first, source.options, folder / name)
            rows.append(_inspect(folder / name, source.rest))
            print(f"{name}: {sum(map(len, rows)):,} decisions so far", flush=True)
    corrector = _quantize(_fit(torch.from_numpy(np.concatenate(rows)), options.passes))
    corrector.save(options.file)
    print(f"{options.file}: {corrector.compute_fingerprint().hex()}")


def _sources() -> dict[str, Source]:
    """Returns the texts by name, with networks of several kinds and sizes."""
    novels = {
        "dorian_gray": (100_000, 150_000, 180_000, ("--minutes", "1.3")),
        "frankenstein": (0, 300_000, 121_000, ("--minutes", "1.5")),
        "pride_and_prejudice": (50_000, 500_000, 200_000, ("--minutes", "2")),
        "scarlet_letter": (100_000, 100_000, 200_000, ("--minutes", "1.2", "--cell", "gru")),
        "tale_of_two_cities": (200_000, 50_000, 150_000, ("--minutes", "0.8")),
    }
    sources = {}
    for name, (start, first, rest, options) in novels.items():
        text = (data_folder() / "english" / f"{name}.txt").read_bytes()[start:]
        sources[name] = Source(text[:first], text[first : first + rest], options)
    python = _join(sorted(Path(sysconfig.get_path("stdlib")).glob("[a-m]*.py"))[:60])
    sources["python"] = Source(python[:300_000], python[300_000:450_000], ("--minutes", "1.3", "--hidden-size", "192"))
    headers = _join(sorted(Path("/usr/include").glob("*.h")))
    sources["c"] = Source(headers[:300_000], headers[300_000:450_000], ("--minutes", "1.3"))
    lines = (data_folder() / "BGL_2k.log").read_bytes().splitlines(keepends=True)
    sources["log"] = Source(b"".join(lines[:1000]), b"".join(lines[1000:]), ("--minutes", "0.8"))
    return sources


def _join(files: list[Path]) -> bytes:
    return b"".join(file.read_bytes() for file in files).decode(errors="ignore").encode()


def _inspect(folder: Path, rest: bytes) -> np.ndarray:
    """Returns a row of inputs, categories and the bit for each decision of the rest that is corrected, int16."""
    instruction_set = choose_instruction_set()
    assert instruction_set is not None, "the corrector is fitted with the native kernels"
    (model, _), priming = IntegerModel.load(folder / INTEGER_MODEL_FILE), Priming.load(folder)
    engine = NativeEngine(model, priming, instruction_set, corrector=_neutral())
    session: Any = engine.start_session(1)
    return np.frombuffer(session.inspect(rest), np.int16).reshape(-1, INPUTS + len(CATEGORIES) + 1)


def _neutral() -> Corrector:
    """Returns a corrector that corrects nothing."""
    return Corrector(
        np.zeros((INPUTS, UNITS), np.int16),
        np.zeros((sum(CATEGORIES), UNITS), np.int32),
        np.zeros(UNITS, np.int16),
        np.zeros(1, np.int32),
        np.round(512 * np.log1p(np.arange(COUNTS))).astype(np.int16),
    )


class _Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inputs = torch.nn.Linear(INPUTS, UNITS)
        self.rows = torch.nn.EmbeddingBag(sum(CATEGORIES), UNITS, mode="sum")
        self.output = torch.nn.Linear(UNITS, 1)
        for weights in (self.rows.weight, self.output.weight, self.output.bias):
            torch.nn.init.zeros_(weights)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        x, categories = rows[:, :INPUTS].float(), rows[:, INPUTS:-1].long() + torch.from_numpy(_FIRST)
        units = torch.relu(self.inputs(x / 1024) + self.rows(categories))
        correction: torch.Tensor = self.output(units)[:, 0]
        return x[:, _MEAN] / 256 + correction


def _fit(rows: torch.Tensor, passes: float) -> _Network:
    torch.manual_seed(0)
    network = _Network()
    steps = int(passes * len(rows) / _BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        batch = rows[torch.randint(len(rows), (_BATCH,))]
        loss = binary_cross_entropy_with_logits(network(batch), batch[:, -1].float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 2000 == 0:
            print(f"step {step:,} of {steps:,}", flush=True)
    return network


def _quantize(network: _Network) -> Corrector:
    def rounded(weights: torch.Tensor, bits: int, dtype: type) -> np.ndarray:
        integers = np.round(weights.detach().double().numpy() * (1 << bits))
        assert np.abs(integers).max() <= np.iinfo(dtype).max
        return integers.astype(dtype)

    # The bias of the units is added to the rows of the first category, of which each decision has exactly one.
    rows = network.rows.weight.detach().clone()
    rows[: CATEGORIES[0]] += network.inputs.bias.detach()
    return Corrector(
        rounded(network.inputs.weight.T, 12, np.int16),
        rounded(rows, 22, np.int32),
        rounded(network.output.weight[0], 12, np.int16),
        rounded(network.output.bias, 23, np.int32),
        _neutral().log_counts,
    )


if __name__ == "__main__":
    main()
