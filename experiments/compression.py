"""Exercise: how well does a language model compress text, compared with gzip and others, and at what cost?

Networks of three sizes are trained on the first 90% of The Time Machine and compress the last 10%. The other
compressors are measured on the last 10% alone, and after the first 90%.
"""

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from charloom import Codec, LanguageModel, build_model, evaluate, load_corpus, load_recipe, prepare_codec, train
from charloom.errors import SettingsError
from charloom.inference.compression_report import break_even, size_of_model
from charloom.recurrence.backend import backend, use_backend
from charloom.training.run_checks import compute_training_length
from experiments.compression_pictures import draw_break_even, draw_sizes
from experiments.other_compressors import compressors, cpu_seconds, primed_size
from experiments.page import Experiment, Results, format_table, load_text
from experiments.text_measures import mean_and_spread

UNITS = {64: 0.1, 128: 0.2, 256: 0.3}
"""Units of the networks, with the dropout of each."""
_HELD_OUT = 1 / 9
"""Share of the first part that is held out from the network, to train the weights of the mixer."""


def measure(quick: bool) -> Results:
    """Trains the networks, and measures sizes, times and reproducibility."""
    whole = load_text("time-machine", quick, lowercase=False, collapse_whitespace=False)
    text = str(whole.text)[: 4000 if quick else None]  # seconds even without native kernels
    timed = text[: 1000 if quick else None].encode()
    at = len(text) * 9 // 10
    first, rest = text[:at].encode(), text[at:].encode()
    units, seeds = ({16: 0.0}, range(1)) if quick else (UNITS, range(2))
    results: Results = {"first": len(first), "rest": len(rest), "seeds": len(seeds), "networks": {}, "peers": {}}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {(size, seed): Path(temporary) / f"{size}-{seed}" for size in units for seed in seeds}
        (Path(temporary) / "first.txt").write_bytes(first)
        for (size, seed), folder in folders.items():
            make_model(Path(temporary) / "first.txt", size, units[size], seed, folder, quick=quick)
        for size in units:
            found = [_sizes(folders[size, seed], rest) for seed in seeds]
            results["networks"][str(size)] = {key: [each[key] for each in found] for key in found[0]}
        largest = folders[max(units), 0]
        results["speed"] = {name: _speed(largest, fast, timed, quick) for name, fast in _MODES.items()}
        results["machines"] = _machines(largest, rest[: 300 if quick else 4000])
    for peer in compressors():
        results["peers"][peer.name] = {"alone": len(peer.compress(rest)), "after": primed_size(peer, first, rest)}
        results["speed"][peer.name] = _peer_speed(peer, timed, quick)
    return results


_MODES = {"charloom": False, "charloom --fast": True}


def make_model(file: Path, size: int, dropout: float, seed: int, folder: Path, *, quick: bool) -> None:
    """Trains a model and saves it with the codec's files, as ``charloom train FILE`` does."""
    recipe, text = load_recipe("own-text"), load_corpus(file)
    training = replace(
        recipe.training,
        seed=seed,
        epochs=1 if quick else 20,
        schedule="cosine",
        learning_rate=0.004,
        validation_fraction=_HELD_OUT,
        sample_every=0,
        precision="float32" if backend().kernels is None else "bfloat16",
    )
    model = build_model(text.vocabulary, replace(recipe.model, hidden_size=size, dropout=dropout), seed=seed)
    train(model, text, training)
    model.save(folder)
    split, known = compute_training_length(len(text.ids), training), str(text.text)
    prepare_codec(folder, model, seen=known[:split].encode(), held_out=known[split:].encode())


def _sizes(folder: Path, rest: bytes) -> dict[str, float]:
    """Returns compressed sizes in bytes, after checking that the files decompress to the original."""
    entropy = evaluate(LanguageModel.load(folder), rest.decode(), unknown="unk")
    found = {"entropy": entropy.bits_per_char * len(rest.decode()) / 8, "model": size_of_model(folder)}
    for name, fast in _MODES.items():
        codec = Codec(folder, fast=fast, threads=1)
        blob = codec.compress(rest)
        assert codec.decompress(blob) == rest
        found[name] = len(blob)
    return found


def _speed(folder: Path, fast: bool, data: bytes, quick: bool) -> dict[str, float]:
    """Returns the CPU seconds until the codec is ready, to compress, and to decompress."""
    fresh = Codec(folder, fast=fast, threads=1)
    # The time of a first, short call is that of start-up: loading the network and reading the priming.
    opening = cpu_seconds(lambda: fresh.compress(b"a longer text " * 9), 1)
    blob = fresh.compress(data)
    rounds = 1 if quick else 3
    return {
        "opening": opening,
        "compress": cpu_seconds(lambda: fresh.compress(data), rounds),
        "decompress": cpu_seconds(lambda: fresh.decompress(blob), rounds),
        "bytes": len(data),
    }


def _peer_speed(peer: Any, data: bytes, quick: bool) -> dict[str, float]:
    blob = peer.compress(data)
    assert peer.decompress(blob) == data
    rounds = 1 if quick else 3
    return {
        "opening": 0.0,
        "compress": cpu_seconds(lambda: peer.compress(data), rounds),
        "decompress": cpu_seconds(lambda: peer.decompress(blob), rounds),
        "bytes": len(data),
    }


def _machines(folder: Path, rest: bytes) -> list[dict[str, Any]]:
    """Compares the probabilities and the compressed files of one model under the kernels of different processors."""
    model = LanguageModel.load(folder)
    ids = model.vocabulary.encode(rest.decode(), "unk")[None]
    found: list[dict[str, Any]] = []
    first: torch.Tensor | None = None
    for name in ("scalar", "avx2", "avx512", "pytorch"):
        with _kernels(name) as available:
            if not available:
                continue
            with torch.inference_mode():
                probabilities = model(ids)[0][:, 0].softmax(-1)
            row: dict[str, Any] = {"word": name}
            if name != "pytorch":  # the codec has no PyTorch implementation
                row["crc"] = f"{zlib.crc32(Codec(folder, fast=True, threads=1).compress(rest)):08x}"
        first = probabilities if first is None else first
        differ = (probabilities != first).any(-1)
        row |= {"differ": float(differ.float().mean()), "at": int(differ.int().argmax()) if differ.any() else None}
        found.append(row)
    return found


@contextmanager
def _kernels(name: str) -> Iterator[bool]:
    """Selects kernels for the block; yields False if this processor does not support them."""
    with use_backend(name):
        try:
            backend()
        except SettingsError:
            yield False
        else:
            yield True


def make_tables(results: Results) -> dict[str, str]:
    """Returns the tables of sizes, networks, speed and machines."""
    return {
        "sizes": _sizes_table(results),
        "networks": _networks_table(results),
        "speed": _speed_table(results),
        "machines": _machines_table(results["machines"]),
    }


def _bits(num_bytes: float, results: Results) -> str:
    return f"{8 * num_bytes / results['rest']:.3f}"


def _spread(sizes: Sequence[float], results: Results) -> str:
    return mean_and_spread([8 * size / results["rest"] for size in sizes], 3)


def _sizes_table(results: Results) -> str:
    largest = results["networks"][max(results["networks"], key=int)]
    ours = [
        ["**charloom**", "", _spread(largest["charloom"], results)],
        ["charloom --fast", "", _spread(largest["charloom --fast"], results)],
        ["cross-entropy of the network", "", _spread(largest["entropy"], results)],
    ]
    peers = sorted(results["peers"].items(), key=lambda item: float(item[1]["after"]))
    rows = [[name, _bits(found["alone"], results), _bits(found["after"], results)] for name, found in peers]
    return format_table(["bits per byte", "alone", "after the first 90%"], [*ours, *rows])


def break_evens(results: Results, units: str) -> dict[str, float]:
    """Returns the break-even in bytes of text by compressor, from the compressed sizes after the first 90%."""
    network = results["networks"][units]
    ours, model = (sum(network[key]) / len(network[key]) for key in ("charloom", "model"))
    return {name: break_even(results["rest"], ours, found["after"], model) for name, found in results["peers"].items()}


def _networks_table(results: Results) -> str:
    rows = []
    for units, found in results["networks"].items():
        pays = break_evens(results, units)
        against = [_megabytes(pays[name]) if name in pays else "" for name in ("xz -9e", "zpaq -m5")]
        model = mean_and_spread([size / 1000 for size in found["model"]], 0)
        rows.append([units, _spread(found["charloom"], results), model, *against])
    return format_table(
        ["units", "bits per byte", "model, kB", "break-even with xz, MB", "break-even with zpaq, MB"], rows
    )


def _megabytes(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:.1f}" if num_bytes < float("inf") else "never"


def _speed_table(results: Results) -> str:
    rows = [
        [
            name,
            f"{found['bytes'] / 1000 / found['compress']:,.0f}",
            f"{found['bytes'] / 1000 / found['decompress']:,.0f}",
            f"{found['opening']:.2f}" if name.startswith("charloom") else "",
        ]
        for name, found in results["speed"].items()
    ]
    return format_table(["one core", "compress, kB/s", "decompress, kB/s", "start-up, s"], rows)


def _machines_table(machines: list[dict[str, Any]]) -> str:
    rows = [
        [
            row["word"],
            f"{100 * row['differ']:.1f}",
            row["at"] if row["at"] is not None else "",
            f"`{row['crc']}`" if "crc" in row else "",
        ]
        for row in machines
    ]
    return format_table(
        ["kernels", "characters that differ, %", "first difference at character", "CRC-32 of the file"], rows
    )


def make_figures(results: Results) -> dict[str, Figure]:
    """Returns the figures of sizes and break-even."""
    return {"sizes": draw_sizes(results), "break-even": draw_break_even(results)}


EXPERIMENT = Experiment(measure, make_tables, make_figures)
