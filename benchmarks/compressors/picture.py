"""The picture of the compression benchmark: a panel for each text, a bar for each method."""

from pathlib import Path
from typing import Any

from compressors.ours import FAST, MIXING, WITHOUT

_FILE = Path(__file__).parents[2] / "docs" / "pictures" / "compression.png"
_OURS = {MIXING: "#b3261e", WITHOUT: "#d97b73", FAST: "#e8b4af"}
_SHORT = {WITHOUT: "without network", FAST: "network alone"}
_PEERS = "#8a949e"


def draw(results: dict[str, Any]) -> None:
    """Draws ``docs/pictures/compression.png`` from the benchmark's results: texts first, then logs."""
    from matplotlib.figure import Figure

    rows = [
        [(name, "stream") for name in results if "records" not in results[name]],
        [(name, kind) for kind in ("stream", "records") for name in results if "records" in results[name]],
    ]
    rows = [row for row in rows if row]
    columns = max(len(row) for row in rows)
    figure = Figure(figsize=(3.9 * columns, 3.3 * len(rows) + 0.6), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        for axis in axes[len(row) :]:
            axis.set_visible(False)
        for axis, (name, kind) in zip(axes, row, strict=False):
            _panel(axis, name, kind, results[name])
    figure.suptitle("Held-out text, after the same training text (red: charloom; shorter is better)", fontsize=13)
    figure.savefig(_FILE, dpi=100)


def _panel(axis: Any, name: str, kind: str, result: dict[str, Any]) -> None:
    is_log = "records" in result
    scale = 1 / result["lines"] if is_log else 8 / result["bytes"]
    items = sorted(((method, size * scale) for method, size in result[kind].items()), key=lambda item: -item[1])
    methods, values = zip(*items, strict=True)
    bars = axis.barh([_SHORT.get(m, m) for m in methods], values, color=[_OURS.get(m, _PEERS) for m in methods])
    axis.bar_label(bars, [f"{value:.1f}" if is_log else f"{value:.3f}" for value in values], padding=3, fontsize=9)
    axis.set_xlim(0, max(values) * 1.2)
    axis.set_xlabel("bytes per line" if is_log else "bits per byte")
    mode = {"stream": "log, one stream" if is_log else "last tenth", "records": "log, line by line"}[kind]
    axis.set_title(f"{name}, {mode}", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
