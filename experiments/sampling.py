"""Exercise: how do sampling methods change generated text?

Temperature, p^alpha, top-k and top-p, with an LSTM trained on a whole book, and with the section's RNN, which memorizes
the first 10,000 characters.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from charloom import (
    Corpus,
    LanguageModel,
    ModelSettings,
    SamplingSettings,
    TrainingSettings,
    build_model,
    check_novelty,
    generate_samples,
    load_recipe,
    train,
)
from charloom.inference.surprisal import perplexity_of
from charloom.recurrence.backend import backend
from charloom.settings.model import Precision
from charloom.training.run_checks import compute_training_length
from experiments.page import Experiment, Results, format_table, load_text
from experiments.sampling_pictures import ALPHA, draw_alpha, draw_copied, draw_families
from experiments.text_measures import (
    distinct,
    find_loop,
    known_words,
    mean_and_spread,
    mean_nats,
    nats,
    next_probabilities,
    repeated,
)

PREFIX = "time traveller"
GREEDY = "greedy"
ALPHAS = (0.5, 0.7, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
TOP_KS = (2, 3, 5, 10, 20)
TOP_PS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
EXAMPLES = {
    GREEDY: SamplingSettings(),
    f"{ALPHA} = 3": SamplingSettings(power=3.0),
    f"{ALPHA} = 1.5": SamplingSettings(power=1.5),
    f"{ALPHA} = 1": SamplingSettings(power=1.0),
    f"{ALPHA} = 0.5": SamplingSettings(power=0.5),
    "top-k 3": SamplingSettings(top_k=3),
    "top-p 0.8": SamplingSettings(top_p=0.8),
}
_EXAMPLE_CHARS = 150
_GREEDY_ALPHA = "∞ (greedy)"
_REPETITION = 5
"""Repetition of a loop that is measured, from 1."""
_NGRAM = 4
"""Number of words of the n-grams whose repetition is counted."""


def settings() -> dict[str, SamplingSettings]:
    """Returns all sampling settings by their names in the results."""
    return {
        GREEDY: SamplingSettings(),
        **{f"alpha {alpha:g}": SamplingSettings(power=alpha, seed=0) for alpha in ALPHAS},
        **{f"top-k {k}": SamplingSettings(top_k=k, seed=0) for k in TOP_KS},
        **{f"top-p {p:g}": SamplingSettings(top_p=p, seed=0) for p in TOP_PS},
    }


def measure(quick: bool) -> Results:
    """Trains both kinds of models and measures the texts that they generate."""
    seeds = range(2 if quick else 3)
    num_samples, num_chars = (2, 300) if quick else (8, 1000)
    book = load_text("time-machine", quick, max_chars=100_000 if quick else None)
    part = load_text("time-machine", quick, max_chars=10_000)
    lstm_settings, lstm_training = _lstm(quick)
    at = compute_training_length(len(book.text), lstm_training)
    lstms = [_trained(book, lstm_settings, lstm_training, seed) for seed in seeds]
    section = load_recipe("section")
    rnn_training = replace(section.training, epochs=8 if quick else 500, sample_every=0, precision=precision())
    rnns = [_trained(part, section.model, rnn_training, seed) for seed in seeds]
    chosen = {name: each for name, each in settings().items() if not quick or name in (GREEDY, "alpha 1", "top-k 3")}
    results: Results = {
        "seeds": len(seeds),
        "samples": num_samples,
        "num_chars": num_chars,
        "book": {"num_chars": len(book.text), "trained_on": at},
        "training": {
            "lstm": [round(history.validation_perplexity, 3) for _, history in lstms],
            "rnn": [round(history.perplexity, 3) for _, history in rnns],
        },
        "lstm": {},
        "rnn": {},
    }
    for kind, models, source in (("lstm", lstms, str(book.text[:at])), ("rnn", rnns, str(part.text))):
        for name, sampling in chosen.items():
            found = []
            for seed, (model, _) in enumerate(models):
                texts = _generated(model, sampling, num_samples, num_chars)
                judge = lstms[(seed + 1) % len(lstms)][0]
                found.append(_measured(texts, source, str(book.text)) | _perplexities(model, judge, texts))
            results[kind][name] = {key: [each[key] for each in found] for key in found[0]}
    results["real"] = _real(str(book.text), at, num_chars, [model for model, _ in lstms])
    results["loops"] = [_loop(seed, model, num_chars) for seed, (model, _) in enumerate(lstms)]
    results["examples"] = {name: _sample(lstms[0][0], sampling) for name, sampling in EXAMPLES.items()}
    assert all(_same_text(lstms[0][0], alpha, num_chars) for alpha in ALPHAS)
    return results


def _lstm(quick: bool) -> tuple[ModelSettings, TrainingSettings]:
    recipe = load_recipe("own-text")
    if quick:
        return replace(recipe.model, hidden_size=32), replace(recipe.training, epochs=1, batch_size=64, sample_every=0)
    return recipe.model, replace(
        recipe.training, epochs=16, schedule="cosine", learning_rate=0.004, sample_every=0, precision=precision()
    )


def _trained(text: Corpus, model: ModelSettings, training: TrainingSettings, seed: int) -> tuple[LanguageModel, Any]:
    built = build_model(text.vocabulary, model, seed=seed)
    history = train(built, text, replace(training, seed=seed))
    return built, history[-1]


def precision() -> Precision:
    """Returns bfloat16 if there are native kernels: faster, at the same perplexity (``scripts/bench precision``)."""
    return "float32" if backend().kernels is None else "bfloat16"


def _generated(model: LanguageModel, sampling: SamplingSettings, num_samples: int, num_chars: int) -> list[str]:
    """Returns generated texts without the prefix; greedy choice has only one."""
    number = 1 if sampling.greedy else num_samples
    return [text[len(PREFIX) :] for text in generate_samples(model, PREFIX, num_chars, sampling, num_samples=number)]


def _measured(texts: list[str], source: str, whole: str) -> dict[str, float]:
    novelty = check_novelty(texts, source)
    return {
        "distinct": distinct(texts, 2),
        "repeated": repeated(texts, _NGRAM),
        "known": known_words(texts, whole),
        "copied": novelty.share,
        "longest": novelty.longest,
    }


def _perplexities(model: LanguageModel, judge: LanguageModel, texts: list[str]) -> dict[str, float]:
    return {"own": perplexity_of(mean_nats(model, texts)), "judge": perplexity_of(mean_nats(judge, texts))}


def _real(book: str, at: int, num_chars: int, models: list[LanguageModel]) -> dict[str, Any]:
    """Measures the held-out text, cut into excerpts of the samples' length."""
    held_out = book[at:]
    excerpts = [held_out[start : start + num_chars] for start in range(0, len(held_out) - num_chars + 1, num_chars)]
    measured = _measured(excerpts, book[:at], book[:at])
    judged = [perplexity_of(mean_nats(model, excerpts)) for model in models]
    return measured | {"excerpts": len(excerpts), "judge": judged}


def _loop(seed: int, model: LanguageModel, num_chars: int) -> dict[str, Any]:
    """Measures the loop in which greedy text ends: its probability, and the change in the probabilities during it."""
    (text,) = _generated(model, SamplingSettings(), 1, num_chars)
    loop = find_loop(text)
    if loop is None:
        return {"seed": seed, "start": None}
    # Near a fixed point of the recurrence the probabilities of one repetition equal those of the repetition before.
    probabilities = next_probabilities(model, PREFIX + text)[len(PREFIX) - 1 :]
    chosen = (-nats(model, [PREFIX + text])[0, len(PREFIX) - 1 :]).double()
    end = loop.start + _REPETITION * loop.period
    start = end - loop.period
    last, before = probabilities[start:end], probabilities[start - loop.period : start]
    return {
        "seed": seed,
        "start": loop.start,
        "period": loop.period,
        "text": text[loop.start : loop.start + loop.period],
        "stays": float(chosen[start:end].sum().exp()),
        "moves": float((last - before).abs().max()),
    }


def _sample(model: LanguageModel, sampling: SamplingSettings) -> str:
    (text,) = generate_samples(model, PREFIX, _EXAMPLE_CHARS, replace(sampling, seed=1), num_samples=1)
    return text


def _same_text(model: LanguageModel, alpha: float, num_chars: int) -> bool:
    """Returns True if p^alpha and the temperature 1/alpha generate the same text from the same seed."""
    both = SamplingSettings(power=alpha, seed=1), SamplingSettings(temperature=1 / alpha, seed=1)
    first, second = (_generated(model, sampling, 1, num_chars) for sampling in both)
    return first == second


def make_tables(results: Results) -> dict[str, str]:
    """Returns the tables of examples, measures, loops and copied text."""
    return {
        "samples": _examples_table(results["examples"]),
        "alpha": _measures_table(results, ALPHA, lambda name: name.startswith("alpha ")),
        "cuts": _measures_table(results, "method", lambda name: name.startswith("top-")),
        "loops": _loops_table(results["loops"]),
        "copied": _copied_table(results),
        "training": format_table(
            ["model", "perplexity", "evaluated on"],
            [
                ["LSTM 256", mean_and_spread(results["training"]["lstm"], 2), "the last 5%, held out"],
                ["RNN 256", mean_and_spread(results["training"]["rnn"], 2), "its own training text"],
            ],
        ),
    }


def _examples_table(examples: dict[str, str]) -> str:
    rows = [f"| {name} | {_escaped(text)} |" for name, text in examples.items()]
    return "\n".join(["| method | text |", "| :-- | :-- |", *rows])


def _escaped(text: str) -> str:
    """Returns the text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_\[\]<>|~$&])", r"\\\1", text)


def _percent(values: Any) -> str:
    return mean_and_spread([100 * value for value in (values if isinstance(values, list) else [values])])


def _measures_table(results: Results, heading: str, chosen: Callable[[str], bool]) -> str:
    rows = [
        [
            name.removeprefix("alpha "),
            *[_percent(found[key]) for key in ("known", "distinct", "repeated")],
            mean_and_spread(found["judge"], 2),
        ]
        for name, found in results["lstm"].items()
        if chosen(name) or (name == GREEDY and heading == ALPHA)
    ]
    if heading == ALPHA:
        rows = [*rows[1:], [_GREEDY_ALPHA, *rows[0][1:]]]
    real = results["real"]
    shares = [_percent(real[key]) for key in ("known", "distinct", "repeated")]
    rows.append(["**real text**", *shares, mean_and_spread(real["judge"], 2)])
    return format_table([heading, "known words, %", "distinct pairs, %", "repeated, %", "perplexity"], rows)


def _loops_table(loops: list[dict[str, Any]]) -> str:
    rows = []
    for loop in loops:
        if loop["start"] is None:
            rows.append(["none", loop["seed"], "", "", ""])
        else:
            probabilities = [f"{loop[key]:.0e}" for key in ("stays", "moves")]
            rows.append([f"“{loop['text'].strip()}”", loop["seed"], loop["start"], *probabilities])
    return format_table(["loop", "seed", "starts at character", "p of a repetition", "change in p"], rows)


def _copied_table(results: Results) -> str:
    def row(alpha: str, name: str) -> list[str]:
        lstm, rnn = results["lstm"][name], results["rnn"][name]
        longest = max(lstm["longest"]), max(rnn["longest"])
        return [alpha, _percent(lstm["copied"]), str(longest[0]), _percent(rnn["copied"]), str(longest[1])]

    rows = [row(name.removeprefix("alpha "), name) for name in results["lstm"] if name.startswith("alpha ")]
    real = results["real"]
    return format_table(
        [ALPHA, "LSTM, copied, %", "longest", "RNN, copied, %", "longest"],
        [*rows, row(_GREEDY_ALPHA, GREEDY), ["**real text**", _percent(real["copied"]), str(real["longest"]), "", ""]],
    )


def make_figures(results: Results) -> dict[str, Figure]:
    """Returns the figures of measures by alpha, methods, and copied text."""
    return {"alpha": draw_alpha(results), "families": draw_families(results), "copied": draw_copied(results)}


EXPERIMENT = Experiment(measure, make_tables, make_figures)
