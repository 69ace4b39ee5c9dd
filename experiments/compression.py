"""Exercise: does a language model compress text, how well beside gzip and the like, and why does not everyone do it?

The first 90 % of The Time Machine are known beforehand, the last 10 % are compressed: by networks of three sizes that
were trained on the first part, and by compressors that have read it, or not.
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
from charloom.training.trainer import training_length
from experiments.compression_pictures import draw_break_even, draw_sizes
from experiments.other_compressors import compressors, primed_size, processor_seconds
from experiments.page import Experiment, Results, corpus, table
from experiments.text_measures import mean_and_spread

UNITS = {64: 0.1, 128: 0.2, 256: 0.3}
"""Units of the networks, and the dropout that each is trained with."""
_UNSEEN = 1 / 9
"""Of the first part: kept from the network, so that the mixture learns on it how far to trust the network."""


def measure(quick: bool) -> Results:
    """Trains, compresses, times."""
    whole = corpus("time-machine", quick, lowercase=False, collapse_whitespace=False)
    text = str(whole.text)[: 4000 if quick else None]  # where there is no native code, that takes seconds too
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
    """As ``charloom train FILE`` does it: the model's folder with all that compression takes."""
    recipe, text = load_recipe("own-text"), load_corpus(file)
    training = replace(
        recipe.training,
        seed=seed,
        epochs=1 if quick else 20,
        schedule="cosine",
        learning_rate=0.004,
        validation_fraction=_UNSEEN,
        sample_every=0,
        precision="float32" if backend().kernels is None else "bfloat16",
    )
    model = build_model(text.vocabulary, replace(recipe.model, hidden_size=size, dropout=dropout), seed=seed)
    train(model, text, training)
    model.save(folder)
    split, known = training_length(len(text.ids), training), str(text.text)
    prepare_codec(folder, model, seen=known[:split].encode(), unseen=known[split:].encode())


def _sizes(folder: Path, rest: bytes) -> dict[str, float]:
    """Bytes of the files that were made, which were decompressed and compared."""
    entropy = evaluate(LanguageModel.load(folder), rest.decode(), unknown="unk")
    found = {"entropy": entropy.bits_per_char * len(rest.decode()) / 8, "model": size_of_model(folder)}
    for name, fast in _MODES.items():
        codec = Codec(folder, fast=fast, threads=1)
        blob = codec.compress(rest)
        assert codec.decompress(blob) == rest
        found[name] = len(blob)
    return found


def _speed(folder: Path, fast: bool, data: bytes, quick: bool) -> dict[str, float]:
    """Processor seconds: before the first byte, to compress, and to decompress."""
    fresh = Codec(folder, fast=fast, threads=1)
    opening = processor_seconds(lambda: fresh.compress(b"a longer text " * 9), 1)
    blob = fresh.compress(data)
    rounds = 1 if quick else 3
    return {
        "opening": opening,
        "compress": processor_seconds(lambda: fresh.compress(data), rounds),
        "decompress": processor_seconds(lambda: fresh.decompress(blob), rounds),
        "bytes": len(data),
    }


def _peer_speed(peer: Any, data: bytes, quick: bool) -> dict[str, float]:
    blob = peer.compress(data)
    assert peer.decompress(blob) == data
    rounds = 1 if quick else 3
    return {
        "opening": 0.0,
        "compress": processor_seconds(lambda: peer.compress(data), rounds),
        "decompress": processor_seconds(lambda: peer.decompress(blob), rounds),
        "bytes": len(data),
    }


def _machines(folder: Path, rest: bytes) -> list[dict[str, Any]]:
    """One model computed as by different processors: its floats, and the files that it makes."""
    model = LanguageModel.load(folder)
    ids = model.vocabulary.encode(rest.decode(), "unk")[None]
    found: list[dict[str, Any]] = []
    first: torch.Tensor | None = None
    for word in ("scalar", "avx2", "avx512", "pytorch"):
        with _computed_by(word) as there:
            if not there:
                continue
            with torch.inference_mode():
                chances = model(ids)[0][:, 0].softmax(-1)
            row: dict[str, Any] = {"word": word}
            if word != "pytorch":  # which has no integers of its own
                row["crc"] = f"{zlib.crc32(Codec(folder, fast=True, threads=1).compress(rest)):08x}"
        first = chances if first is None else first
        differ = (chances != first).any(-1)
        row |= {"differ": float(differ.float().mean()), "at": int(differ.int().argmax()) if differ.any() else None}
        found.append(row)
    return found


@contextmanager
def _computed_by(word: str) -> Iterator[bool]:
    """With these kernels; False where this processor does not have them."""
    with use_backend(word):
        try:
            backend()
        except SettingsError:
            yield False
        else:
            yield True


def tables(results: Results) -> dict[str, str]:
    """Markdown."""
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
        ["the network's entropy", "", _spread(largest["entropy"], results)],
    ]
    peers = sorted(results["peers"].items(), key=lambda item: float(item[1]["after"]))
    rows = [[name, _bits(found["alone"], results), _bits(found["after"], results)] for name, found in peers]
    return table(["bits a byte", "alone", "after the first 90 %"], [*ours, *rows])


def break_evens(results: Results, units: str) -> dict[str, float]:
    """Bytes of text from which on the mean model pays, by compressor: all at their rates after the first 90 %."""
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
    return table(["units", "bits a byte", "model, kB", "pays beside xz from, MB", "beside zpaq from, MB"], rows)


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
    return table(["of one processor", "compress, kB/s", "decompress, kB/s", "ready after, s"], rows)


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
    return table(["computed by", "floats that differ, %", "first at character", "CRC-32 of the file"], rows)


def figures(results: Results) -> dict[str, Figure]:
    """Drawn."""
    return {"sizes": draw_sizes(results), "break-even": draw_break_even(results)}


EXPERIMENT = Experiment(measure, tables, figures)
