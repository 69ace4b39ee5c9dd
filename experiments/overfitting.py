"""Exercise: units, epochs and clipping: training and held-out perplexity, and remedies for overfitting."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from charloom import Corpus, EpochRecord, Recipe, SweepRun, build_model, corpus_from, load_recipe, sweep
from charloom.training.truncated_bptt import make_optimizer, train_epoch
from experiments.page import COLORS, Experiment, Results, format_table, load_text, make_figure

_NUM_CHARS = 10_000
"""Characters of the training text, as in the section, and of the held-out text that follows it."""
_UNITS = [32, 64, 128, 256]
_CLIPS = [0.1, 1.0, 10.0, 0.0]
_REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "early stopping": {"patience": 20},
    "dropout 0.5": {"dropout": 0.5},
    "weight decay 0.001": {"weight_decay": 0.001},
}
_KEEP_EVERY = 4
"""Epochs between two points of a stored curve."""
_DIVERGED = 1000
"""Perplexity far above that of a uniform distribution over the vocabulary, from which a run counts as diverged."""


def measure(quick: bool) -> Results:
    """Measures units, clipping, remedies and more text, and the gradient norms under each clipping."""
    book = load_text("time-machine", quick, lowercase=True, collapse_whitespace=True)
    num_chars, seeds, epochs, jobs = (2500, 1, 6, 1) if quick else (_NUM_CHARS, 3, 200, 2)
    text, fraction = _text(book, num_chars, num_chars)
    base = load_recipe("section").with_changes(
        {"max_chars": None, "epochs": epochs, "validation_fraction": fraction, "hidden_size": 32 if quick else 256}
    )

    def run(combinations: Sequence[Mapping[str, Any]], text: Corpus = text, base: Recipe = base) -> list[list[Any]]:
        results = sweep(text, combinations, base, num_seeds=seeds, jobs=jobs)
        assert not results.num_missing, results.failures
        return [[_summary(one) for one in results.find(**combination).runs] for combination in combinations]

    units = _UNITS[:2] if quick else _UNITS
    default_size = base.model.hidden_size
    plain = {"hidden_size": default_size, "clip_norm": 1.0, "dropout": 0.0, "weight_decay": None, "patience": None}
    everything = [
        *(plain | {"hidden_size": size} for size in units),
        *(plain | {"clip_norm": clip} for clip in _CLIPS if clip != 1),
        *(plain | change for change in _REMEDIES.values() if change),
    ]
    found = run(everything)
    by_units = {str(size): runs for size, runs in zip(units, found[: len(units)], strict=True)}
    del found[: len(units)]
    by_clip = {str(clip): by_units[str(default_size)] if clip == 1 else found.pop(0) for clip in _CLIPS}
    remedies = {name: found.pop(0) if change else by_units[str(default_size)] for name, change in _REMEDIES.items()}
    steps = epochs * _steps_per_epoch(base, num_chars)
    # More text is trained on for the same number of optimizer steps, so that only the text differs.
    for factor in (2,) if quick else (4, 15):
        longer, fraction = _text(book, factor * num_chars, num_chars)
        same_steps = round(steps / _steps_per_epoch(base, factor * num_chars))
        changed = base.with_changes({"validation_fraction": fraction, "epochs": same_steps})
        remedies[f"{factor} times the text"] = run([{}], longer, changed)[0]
    return {
        "seeds": seeds,
        "epochs": epochs,
        "units": by_units,
        "clips": by_clip,
        "remedies": remedies,
        "norms": {str(clip): _norms(text, base, clip, seeds - 1, 3 if quick else 100) for clip in _CLIPS},
    }


def _text(book: Corpus, num_trained: int, num_held_out: int) -> tuple[Corpus, float]:
    """Returns the start of the book with its second block of text moved to the end, and that block's share.

    The held-out block is the same for every ``num_trained``, so that perplexities are comparable.
    """
    text = str(book.text)
    start, end = num_held_out, 2 * num_held_out
    whole = text[:start] + text[end : end + num_trained - start] + text[start:end]
    # The vocabulary of the whole book, so that models of different texts predict among the same characters.
    vocabulary = book.vocabulary
    made = corpus_from(whole, name=book.name, **vars(vocabulary.clean_up)).in_vocabulary(vocabulary)
    # The small term keeps rounding down from holding out one character less.
    return made, num_held_out / len(whole) + 1e-9


def _steps_per_epoch(recipe: Recipe, num_chars: int) -> int:
    return (num_chars - 1) // recipe.training.batch_size // recipe.training.num_steps


def _summary(run: SweepRun) -> dict[str, Any]:
    def point(record: EpochRecord | None) -> list[float] | None:
        validation = record.validation_perplexity if record else None
        return [record.epoch, round(record.perplexity, 3), round(validation, 3)] if record and validation else None

    return {
        "diverged": run.outcome == "diverged",
        "curve": [point(record) for record in run.history if (record.epoch - 1) % _KEEP_EVERY == 0],
        "best": point(run.best),
        "last": point(run.history[-1]) if run.history else None,
        "kept": point(run.kept),
        "seconds": run.seconds,
    }


def _norms(text: Corpus, base: Recipe, clip: float, seed: int, epochs: int) -> list[float]:
    """Returns the gradient norm before clipping at every step, recorded while a model is trained again."""
    recipe = base.with_changes({"clip_norm": clip})
    model = build_model(text.vocabulary, recipe.model, seed=seed)
    optimizer = make_optimizer(model.parameters(), recipe.training)
    norms: list[float] = []
    backpropagate = model.backpropagate

    def recording(*arguments: Any) -> Any:
        result = backpropagate(*arguments)
        gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
        return result

    patched: Any = model  # Any, because mypy refuses an assignment to a method
    patched.backpropagate = recording
    generator = torch.Generator().manual_seed(seed)
    ids = text.ids[: len(text.ids) - round(len(text.ids) * base.training.validation_fraction)]
    for epoch in range(1, epochs + 1):
        for _ in train_epoch(model, optimizer, ids, recipe.training, generator, epoch):
            pass
        if not all(torch.isfinite(p).all() for p in model.parameters()):
            break
    return [float(f"{norm:.4g}") for norm in norms]


def make_tables(results: Results) -> Mapping[str, str]:
    """Returns the tables of units, clipping, norms and remedies."""
    return {
        "units": format_table(
            ["units", "held-out, lowest", "at epoch", "held-out, last epoch", "training, last epoch"],
            [
                [
                    name,
                    _over(runs, "best", 2),
                    _over(runs, "best", 0, 0),
                    _over(runs, "last", 2),
                    _over(runs, "last", 1),
                ]
                for name, runs in results["units"].items()
            ],
        ),
        "clipping": format_table(
            ["clipped to", "held-out, lowest", "held-out, last epoch", "training, last epoch", "diverged"],
            [["none" if clip == 0 else f"{clip:g}", *_clip_row(results["clips"][str(clip)])] for clip in _CLIPS],
        ),
        "norms": format_table(
            ["clipped to", "median norm", "maximum norm", "steps clipped"],
            [["none" if clip == 0 else f"{clip:g}", *_norm_row(results["norms"][str(clip)], clip)] for clip in _CLIPS],
        ),
        "remedies": format_table(
            ["remedy", "epochs", "held-out, saved model", "training"],
            [
                [name, f"{_over(runs, 'last', 0, 0)}", _over(runs, "kept", 2), _over(runs, "kept", 1)]
                for name, runs in results["remedies"].items()
            ],
        ),
    }


def _clip_row(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the means of the runs that did not diverge, and the number of those that did."""
    stable = [run for run in runs if not run["diverged"] and run["last"][2] < _DIVERGED]
    figures = [_over(stable, "best", 2), _over(stable, "last", 2), _over(stable, "last", 1)] if stable else ["", "", ""]
    return [*figures, f"{len(runs) - len(stable)} of {len(runs)} seeds"]


def _over(runs: Sequence[Mapping[str, Any]], which: str, column: int, digits: int = 2) -> str:
    """Returns a table cell: mean and standard deviation over seeds."""
    values = torch.tensor([run[which][column] for run in runs], dtype=torch.float64)
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 and values.std() > 0 else ""
    return f"{values.mean():.{digits}f}{spread}"


def _norm_row(norms: Sequence[float], clip: float) -> list[str]:
    values = torch.tensor(norms, dtype=torch.float64)
    clipped = f"{(values > clip).double().mean() * 100:.1f}%" if clip else ""
    return [f"{values.median():.2g}", f"{values.max():.2g}", clipped]


def make_figures(results: Results) -> Mapping[str, Figure]:
    """Returns figures of perplexity by epoch for units, clipping and remedies."""
    units = results["units"]
    clips = {f"clipped to {clip:g}": results["clips"][str(clip)] for clip in _CLIPS if clip in (0.1, 1)}
    remedies = {name: runs for name, runs in results["remedies"].items() if "text" not in name}
    return {
        "units": _curves({f"{name} units": runs for name, runs in units.items()}),
        "clipping": _curves(clips | {"not clipped (similar to 10)": results["clips"]["0.0"]}),
        "remedies": _curves(remedies),
    }


def _curves(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draws held-out (solid) and training (dashed) perplexity by epoch, a line for each seed."""
    drawing = make_figure(height=4.2)
    axes = drawing.subplots()
    for (name, runs), color in zip(groups.items(), COLORS, strict=False):
        for run in runs:
            if run["curve"]:
                epochs, training, held_out = zip(*run["curve"], strict=True)
                axes.plot(epochs, held_out, color=color, lw=1.1)
                axes.plot(epochs, training, "--", color=color, lw=0.9)
        axes.plot([], [], color=color, label=name)
    axes.plot([], [], color="0.3", label="held-out")
    axes.plot([], [], "--", color="0.3", label="training")
    axes.set(xlabel="epoch", ylabel="perplexity (log scale)", yscale="log", ylim=(1.8, 50))
    axes.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.set_yticks([], minor=True)
    drawing.legend(loc="outside lower center", ncols=3 if len(groups) < 4 else 4, fontsize=9)
    return drawing


EXPERIMENT = Experiment(measure, make_tables, make_figures)
