"""Exercise: more layers, GRU and LSTM, and the settings that deep networks need to train."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from charloom import Corpus, LanguageModel, Recipe, SweepResults, SweepRun, build_model, load_recipe, sweep
from charloom.training.truncated_bptt import make_optimizer, train_epoch
from experiments.page import COLORS, Experiment, Results, format_table, load_text, make_figure

_CELLS = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
_ADAMW = {"optimizer": "adamw", "learning_rate": 0.005}
_UNIFORM = {"init_sigma": 0.0}
_VARIANTS: dict[str, dict[str, Any]] = {
    "section": {},
    "uniform weights": _UNIFORM,
    "AdamW": _ADAMW,
    "both": _UNIFORM | _ADAMW,
    "both, dropout 0.2": _UNIFORM | _ADAMW | {"dropout": 0.2},
    "both, no clipping": _UNIFORM | _ADAMW | {"clip_norm": 0.0},
    "both, 40 epochs": _UNIFORM | _ADAMW | {"epochs": 40},
}
"""Changes to the section's recipe."""
_GRID = ("section", "both")
"""Variants that are trained with all cells and depths; the others are trained with the deepest models of ``_TRIED``."""
_TRIED = ("rnn", "lstm")
_NUM_TRAINED, _NUM_HELD_OUT = 60_000, 10_000


def _recipe(quick: bool) -> Recipe:
    return load_recipe("section").with_changes(
        {
            "max_chars": None,
            "hidden_size": 8 if quick else 64,
            "epochs": 2 if quick else 15,
            "validation_fraction": _NUM_HELD_OUT / (_NUM_TRAINED + _NUM_HELD_OUT),
        }
    )


def measure(quick: bool) -> Results:
    """Measures all cells and depths in the variants of ``_GRID``, the deepest models in all variants, and gradients."""
    num_chars = 3000 if quick else _NUM_TRAINED + _NUM_HELD_OUT
    text = load_text("time-machine", quick, lowercase=True, collapse_whitespace=True, max_chars=num_chars)
    base, seeds = _recipe(quick), 1 if quick else 3
    depths = [1, 2] if quick else [1, 2, 3, 4]
    cells = list(_TRIED if quick else _CELLS)
    found: dict[str, dict[str, Any]] = {}
    for variant in _VARIANTS:
        layers = depths if variant in _GRID else depths[-1:]
        some = cells if variant in _GRID else _TRIED
        if quick and variant not in (*_GRID, "both, dropout 0.2"):
            continue
        vary = {"cell": some, "num_layers": layers}
        results = sweep(text, vary, base.with_changes(_VARIANTS[variant]), num_seeds=seeds, jobs=1 if quick else 2)
        assert not results.num_missing, results.failures
        found[variant] = {
            f"{cell} {depth}": _runs(results, cell=cell, num_layers=depth) for cell in some for depth in layers
        }
    return {
        "seeds": seeds,
        "depths": depths,
        "variants": found,
        "without_a_model": _perplexity_of_frequencies(text),
        "gradients": _gradients(text, base, cells, depths[-1]),
        "signals": _signals(text, base, depths[-1]),
    }


def _runs(results: SweepResults, **values: Any) -> list[dict[str, Any]]:
    def record_of(run: SweepRun) -> dict[str, Any]:
        validation = [record.validation_perplexity for record in run.history]
        return {
            "diverged": run.outcome == "diverged",
            "training": [round(record.perplexity, 3) for record in run.history],
            "validation": [round(value, 3) for value in validation if value is not None],
            "seconds": run.seconds,
        }

    return [record_of(run) for run in results.find(**values).runs]


def _perplexity_of_frequencies(text: Corpus) -> float:
    """Returns the perplexity of a unigram model, which knows the frequencies of the characters only."""
    counts = torch.bincount(text.ids[:]).double()
    shares = counts[counts > 0] / counts.sum()
    return math.exp(-float((shares * shares.log()).sum()))


def _gradients(text: Corpus, base: Recipe, cells: Sequence[str], depth: int) -> dict[str, list[float]]:
    """Returns the gradient norm of each layer's weights before training, lowest layer first; mean of 3 seeds."""
    found = {}
    batch, steps = (4, 10) if len(text.ids) < 5000 else (base.training.batch_size, base.training.num_steps)
    inputs, targets = text.ids[: batch * steps].view(batch, steps), text.ids[1 : batch * steps + 1].view(batch, steps)
    for cell in cells:
        for sigma in (0.01, 0.0):
            norms = torch.zeros(depth)
            for seed in range(3):
                recipe = base.with_changes({"cell": cell, "num_layers": depth, "init_sigma": sigma})
                model = build_model(text.vocabulary, recipe.model, seed=seed)
                loss, _ = model.loss(inputs, targets)
                torch.autograd.backward(loss)
                for layer in range(depth):
                    gradients = [model.layer.get_parameter(f"weight_{kind}_l{layer}").grad for kind in ("ih", "hh")]
                    norms[layer] += torch.cat([each.flatten() for each in gradients if each is not None]).norm() / 3
            found[f"{cell} {sigma}"] = norms.tolist()
    return found


def _signals(text: Corpus, base: Recipe, depth: int) -> dict[str, list[list[float]]]:
    """Returns the outputs' statistics of each layer of a plain RNN, before training and after an epoch with AdamW.

    Measured for both kinds of initial weights with one seed: mean magnitude, and standard deviation over texts.
    """
    found = {}
    for sigma in (0.01, 0.0):
        recipe = base.with_changes(_ADAMW | {"num_layers": depth, "init_sigma": sigma})
        training = recipe.training
        model = build_model(text.vocabulary, recipe.model, seed=0)
        ids = text.ids[: training.batch_size * training.num_steps].view(training.batch_size, -1)
        found[f"{sigma} before"] = _magnitudes_and_deviations(model, ids)
        generator = torch.Generator().manual_seed(0)
        for _ in train_epoch(model, make_optimizer(model.parameters(), training), text.ids, training, generator):
            pass
        found[f"{sigma} after"] = _magnitudes_and_deviations(model, ids)
    return found


def _magnitudes_and_deviations(model: LanguageModel, ids: Tensor) -> list[list[float]]:
    """Returns mean magnitude and standard deviation over sequences of each layer's outputs, from step 10 on."""
    pairs = []
    outputs = torch.nn.functional.one_hot(ids.t(), len(model.vocabulary)).float()
    # A fused layer returns the outputs of its top layer only, so each layer is run by itself.
    for layer in range(model.layer.num_layers):
        alone = torch.nn.RNN(outputs.shape[-1], model.layer.hidden_size)
        alone.load_state_dict(
            {name: model.layer.get_parameter(f"{name[:-1]}{layer}").detach() for name in alone.state_dict()}
        )
        with torch.no_grad():
            outputs = alone(outputs)[0]
        pairs.append([float(outputs.abs().mean()), float(outputs[10:].std(1).mean())])
    return pairs


def make_tables(results: Results) -> Mapping[str, str]:
    """Returns the tables of depths, variants, gradients and signals."""
    variants, depths = results["variants"], results["depths"]
    cells = [cell for cell in _CELLS if f"{cell} {depths[-1]}" in variants["both"]]
    made = {
        variant: format_table(
            [f"layers ({name})", *(_CELLS[cell] for cell in cells)],
            [[depth, *(_mean(variants[variant][f"{cell} {depth}"]) for cell in cells)] for depth in depths],
        )
        for variant, name in (("section", "section's settings"), ("both", "uniform weights and AdamW"))
    }
    deepest = depths[-1]
    return {
        "section": made["section"],
        "both": made["both"],
        "variants": format_table(
            [f"{deepest} layers", *(_CELLS[cell] for cell in _TRIED)],
            [[name, *(_mean(runs[f"{cell} {deepest}"]) for cell in _TRIED)] for name, runs in variants.items()],
        ),
        "learning": format_table(
            ["layers (training text)", *(_CELLS[cell] for cell in cells)],
            [[depth, *(_mean(variants["both"][f"{cell} {depth}"], "training") for cell in cells)] for depth in depths],
        ),
        "gradients": format_table(
            ["layer", *(f"{_CELLS[cell]}, {init}" for cell in _TRIED for init in ("N(0, 0.01)", "uniform"))],
            [
                [
                    _layer_name(layer, deepest),
                    *(
                        f"{results['gradients'][f'{cell} {sigma}'][layer]:.1e}"
                        for cell in _TRIED
                        for sigma in (0.01, 0.0)
                    ),
                ]
                for layer in range(deepest)
            ],
        ),
        "signals": format_table(
            ["layer", *(f"{name}, {when}" for name in ("N(0, 0.01)", "uniform") for when in ("before", "after"))],
            [
                [
                    _layer_name(layer, deepest),
                    *(
                        "{:.2g} ± {:.0e}".format(*results["signals"][f"{sigma} {when}"][layer])
                        for sigma in (0.01, 0.0)
                        for when in ("before", "after")
                    ),
                ]
                for layer in range(deepest)
            ],
        ),
        "guess": format_table(
            ["", "perplexity"], [["character frequencies (unigram model)", f"{results['without_a_model']:.2f}"]]
        ),
    }


def _layer_name(layer: int, deepest: int) -> str:
    return f"{layer + 1}" + (" (lowest)" if layer == 0 else " (top)" if layer == deepest - 1 else "")


def _mean(runs: Sequence[Mapping[str, Any]], kind: str = "validation") -> str:
    """Returns a table cell: mean and standard deviation over seeds of the last epoch."""
    values = torch.tensor([run[kind][-1] for run in runs if not run["diverged"] and run[kind]], dtype=torch.float64)
    if len(values) < len(runs):
        return "diverged"
    return f"{values.mean():.2f}" + (f" ± {values.std():.2f}" if len(values) > 1 else "")


def make_figures(results: Results) -> Mapping[str, Figure]:
    """Returns figures of perplexity by depth, curves of the deepest models, and gradients by layer."""
    variants, depths = results["variants"], results["depths"]
    cells = [cell for cell in _CELLS if f"{cell} {depths[-1]}" in variants["both"]]
    return {
        "depth": _draw_depth(variants, depths, cells),
        "curves": _draw_curves(variants, depths[-1], cells),
        "gradients": _draw_gradients(results["gradients"], cells),
    }


def _draw_depth(variants: Mapping[str, Any], depths: Sequence[int], cells: Sequence[str]) -> Figure:
    drawing = make_figure(height=4.4)
    axes = drawing.subplots()
    for cell, color in zip(cells, COLORS, strict=False):
        for variant, style in (("section", "--"), ("both", "-")):
            values = torch.tensor(
                [[r["validation"][-1] for r in variants[variant][f"{cell} {depth}"]] for depth in depths]
            )
            spread = values.std(1) if values.shape[1] > 1 else torch.zeros(len(depths))
            axes.errorbar(depths, values.mean(1), spread, fmt=f"o{style}", color=color, capsize=3, ms=4)
        axes.plot([], [], color=color, label=_CELLS[cell])
    axes.plot([], [], "--", color="0.3", label="section's settings")
    axes.plot([], [], "-", color="0.3", label="uniform weights, AdamW")
    axes.set(xlabel="layers", ylabel="held-out perplexity (log scale)", xticks=list(depths), yscale="log")
    _plain_ticks(axes, (5, 6, 8, 10, 12, 15, 20))
    drawing.legend(loc="outside lower center", ncols=3, fontsize=9)
    return drawing


def _draw_curves(variants: Mapping[str, Any], deepest: int, cells: Sequence[str]) -> Figure:
    drawing = make_figure(height=4.4)
    axes = drawing.subplots()
    for cell, color in zip(cells, COLORS, strict=False):
        for variant, style in (("section", "--"), ("both", "-")):
            for run in variants[variant][f"{cell} {deepest}"]:
                axes.plot(range(1, len(run["validation"]) + 1), run["validation"], style, color=color, lw=1.2)
        axes.plot([], [], color=color, label=_CELLS[cell])
    axes.plot([], [], "--", color="0.3", label="section's settings")
    axes.plot([], [], "-", color="0.3", label="uniform weights, AdamW")
    axes.set(xlabel="epoch", ylabel=f"held-out perplexity, {deepest} layers (log scale)", yscale="log")
    _plain_ticks(axes, (5, 6, 8, 10, 12, 15, 20))
    drawing.legend(loc="outside lower center", ncols=3, fontsize=9)
    return drawing


def _draw_gradients(gradients: Mapping[str, Sequence[float]], cells: Sequence[str]) -> Figure:
    drawing = make_figure(height=4.4)
    axes = drawing.subplots()
    for cell, color in zip(cells, COLORS, strict=False):
        for sigma, style in ((0.01, "--"), (0.0, "-")):
            norms = gradients[f"{cell} {sigma}"]
            axes.plot(range(1, len(norms) + 1), norms, f"o{style}", color=color, ms=4)
        axes.plot([], [], color=color, label=_CELLS[cell])
    axes.plot([], [], "--", color="0.3", label="weights N(0, 0.01)")
    axes.plot([], [], "-", color="0.3", label="uniform weights")
    layers = range(1, len(norms) + 1)
    axes.set(
        xlabel="layer (1: lowest)",
        ylabel="norm of the first gradient (log scale)",
        yscale="log",
        xticks=list(layers),
    )
    drawing.legend(loc="outside lower center", ncols=3, fontsize=9)
    return drawing


def _plain_ticks(axes: Any, values: Sequence[float]) -> None:
    low, high = axes.get_ylim()
    shown = [value for value in values if low <= value <= high]
    axes.set_yticks(shown, [f"{value:g}" for value in shown])
    axes.set_yticks([], minor=True)


EXPERIMENT = Experiment(measure, make_tables, make_figures)
