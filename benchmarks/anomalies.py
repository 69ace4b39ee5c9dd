"""How well do the scores of ``charloom evaluate --by-line`` find the labelled lines of a log?

The log is a sample of BGL from LogHub, whose first field is ``-`` for a normal line and something else for an alert. A
model is trained on the normal lines of the first half, with the recipe own-text and ten epochs; the lines of the second
half are scored, without their labels. The table has the area under the ROC curve: the probability that an alert has a
higher score than a normal line. The trivial detectors need no model.
"""

import argparse
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import charloom
from alternate import machine, write_result

_PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "anomalies.svg"
_DRAWN = {
    "independent, bits per word": "-",
    "adaptive, bits per word": "-",
    "network, bits per word": "-",
    "gzip distance per character": "--",
    "new words without digits": "--",
}
"""Scores whose curves are drawn, with their line styles."""
_KNOWN_CHARS = 30_000
"""Characters of the training text that the gzip distance compresses before a line: its window is 32 KiB."""


def read_log(path: Path) -> tuple[list[str], list[str], list[bool]]:
    """Returns the normal lines of the first half, and the lines of the second half with their labels."""
    labelled = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines() if " " in line]
    half = len(labelled) // 2
    training = [line for label, line in labelled[:half] if label == "-"]
    return training, [line for _, line in labelled[half:]], [label != "-" for label, _ in labelled[half:]]


def area_under_curve(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Returns the area under the ROC curve; equal scores count half."""
    values, is_alert = np.asarray(scores, float), np.asarray(labels)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    num_alerts = is_alert.sum()
    above = ranks[is_alert].sum() - num_alerts * (num_alerts + 1) / 2
    return float(above / (num_alerts * (len(values) - num_alerts)))


def score_by_model(training: list[str], lines: list[str], folder: Path) -> dict[str, list[float]]:
    """Returns the scores of the lines under a model, by name."""
    corpus = charloom.corpus_from("\n".join(training) + "\n")
    recipe = charloom.load_recipe("own-text").with_changes({"epochs": 10, "schedule": "cosine", "sample_every": 0})
    model = charloom.build_model(corpus.vocabulary, recipe.model)
    charloom.train(model, corpus, recipe.training)
    model.save(folder)
    text = str(corpus.text)
    seen = int(len(text) * (1 - recipe.training.validation_fraction))
    charloom.prepare_codec(folder, seen=text[:seen].encode(), held_out=text[seen:].encode())
    scores: dict[str, list[float]] = {}
    joined = "\n".join(lines) + "\n"
    for name, (_, found) in {
        "network": charloom.evaluate_lines(model, joined),
        "adaptive": charloom.evaluate_lines(folder, joined, adaptive=True),
        "independent": charloom.evaluate_lines(folder, joined, independent=True),
    }.items():
        scores[f"{name}, bits"] = [line.bits for line in found]
        scores[f"{name}, bits per character"] = [line.bits_per_char for line in found]
        scores[f"{name}, bits per word"] = [line.bits_per_word for line in found]
        if name != "network":
            scores[f"{name}, rarity"] = [line.rarity or 0.0 for line in found]
    pairs = zip(scores["independent, bits per word"], scores["adaptive, bits per word"], strict=True)
    scores["geometric mean of the last two, bits per word"] = [(a * b) ** 0.5 for a, b in pairs]
    return scores


def score_trivially(training: list[str], lines: list[str]) -> dict[str, list[float]]:
    """Returns the scores of detectors that need no model, by name."""

    def mask(line: str) -> str:
        return re.sub(r"\d+", "0", line)

    def share_of_new(parts_of: Callable[[str], list[str]]) -> list[float]:
        known = {part for line in training for part in parts_of(line)}
        found = [[part not in known for part in parts_of(line)] for line in lines]
        return [sum(new) / len(new) if new else 0.0 for new in found]

    def grams(size: int) -> Callable[[str], list[str]]:
        return lambda line: [mask(line)[i : i + size] for i in range(len(mask(line)) - size + 1)]

    before = "\n".join(training)[-_KNOWN_CHARS:].encode()
    alone = len(zlib.compress(before, 9))
    distances = [len(zlib.compress(before + line.encode(), 9)) - alone for line in lines]
    return {
        "line never seen": share_of_new(lambda line: [line]),
        "line never seen, digits masked": share_of_new(lambda line: [mask(line)]),
        "new words without digits": share_of_new(lambda line: [w for w in line.split() if not re.search(r"\d", w)]),
        **{f"new {size}-grams, digits masked": share_of_new(grams(size)) for size in (3, 4, 5)},
        "length": [len(line) for line in lines],
        "gzip distance": [float(distance) for distance in distances],
        "gzip distance per character": [d / max(1, len(line)) for d, line in zip(distances, lines, strict=True)],
    }


def draw(scores: Mapping[str, Sequence[float]], labels: Sequence[bool]) -> None:
    """Draws ROC curves of some scores, and the rarity of each line in the order of the log."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    curves, timeline = figure.subplots(1, 2)
    is_alert = np.asarray(labels)
    for name, style in _DRAWN.items():
        order = np.argsort(-np.asarray(scores[name]), kind="stable")
        found, wrong = np.cumsum(is_alert[order]), np.cumsum(~is_alert[order])
        area = area_under_curve(scores[name], labels)
        curves.plot(wrong / wrong[-1], found / found[-1], style, label=f"{name} ({area:.3f})")
    curves.plot((0, 1), (0, 1), ":", color="gray")
    curves.set_xlabel("share of normal lines above the threshold")
    curves.set_ylabel("share of alerts above the threshold")
    curves.legend(fontsize="small")
    rarity = np.maximum(np.asarray(scores["adaptive, rarity"]), 0.03)
    places = np.arange(len(rarity))
    timeline.plot(places[~is_alert], rarity[~is_alert], ".", markersize=3, alpha=0.5, label="normal line")
    timeline.plot(places[is_alert], rarity[is_alert], "x", markersize=5, label="alert")
    timeline.axhline(3, linestyle=":", color="gray")  # from here on, watch prints a line by default
    timeline.set_yscale("log")
    timeline.set_xlabel("line of the second half")
    timeline.set_ylabel("rarity")
    timeline.legend(fontsize="small")
    figure.savefig(_PICTURE, metadata={"Date": None})


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", type=Path, help="default: BGL_2k.log in CHARLOOM_DATA")
    options = parser.parse_args()
    training, lines, labels = read_log(options.log or Path(os.environ.get("CHARLOOM_DATA", "")) / "BGL_2k.log")
    with tempfile.TemporaryDirectory() as folder:
        scores = {**score_by_model(training, lines, Path(folder)), **score_trivially(training, lines)}
    areas = {name: area_under_curve(found, labels) for name, found in scores.items()}
    draw(scores, labels)
    print(f"{len(training)} lines for training, {len(lines)} scored, {sum(labels)} of them alerts")
    for name, area in areas.items():
        alerts = sum(labels[i] for i in np.argsort(-np.asarray(scores[name]), kind="stable")[: sum(labels)])
        print(f"  {name:40s} area {area:.3f}, alerts among the first {sum(labels)}: {alerts}")
    write_result("anomalies", {"question": __doc__, "areas": areas, "machine": machine()})


if __name__ == "__main__":
    main()
