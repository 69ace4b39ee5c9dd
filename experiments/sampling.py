"""Exercise: what do ways of choosing the next character do to a text?

Temperature, p^alpha, top-k and top-p on an LSTM that has read a whole book, and on the section's own RNN, which has
read its first 10,000 characters until it knew them by heart.
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
from charloom.inference.evaluation import perplexity_of
from charloom.recurrence.backend import backend
from charloom.settings.model import Precision
from charloom.training.trainer import training_length
from experiments.page import Experiment, Results, corpus, table
from experiments.sampling_pictures import ALPHA, draw_alpha, draw_copied, draw_families
from experiments.text_measures import (
    chances_of,
    distinct,
    find_loop,
    known_words,
    mean_and_spread,
    mean_nats,
    nats,
    repeated,
)

PREFIX = "time traveller"
GREEDY = "greedy"
ALPHAS = (0.5, 0.7, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
TOP_KS = (2, 3, 5, 10, 20)
TOP_PS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
SHOWN = {
    GREEDY: SamplingSettings(),
    f"{ALPHA} = 3": SamplingSettings(power=3.0),
    f"{ALPHA} = 1.5": SamplingSettings(power=1.5),
    f"{ALPHA} = 1": SamplingSettings(power=1.0),
    f"{ALPHA} = 0.5": SamplingSettings(power=0.5),
    "top-k 3": SamplingSettings(top_k=3),
    "top-p 0.8": SamplingSettings(top_p=0.8),
}
_SHOWN_CHARS = 150
_LAST = "∞ (greedy)"
_ROUND = 5
"""Of a loop, which is looked at."""
_WIDTH = 4
"""Words in a sequence whose repetition is counted."""


def settings() -> dict[str, SamplingSettings]:
    """All ways of choosing, by the names that the results have."""
    return {
        GREEDY: SamplingSettings(),
        **{f"alpha {alpha:g}": SamplingSettings(power=alpha, seed=0) for alpha in ALPHAS},
        **{f"top-k {k}": SamplingSettings(top_k=k, seed=0) for k in TOP_KS},
        **{f"top-p {p:g}": SamplingSettings(top_p=p, seed=0) for p in TOP_PS},
    }


def measure(quick: bool) -> Results:
    """Trains both kinds of models, lets them write, and measures what they write."""
    seeds = range(2 if quick else 3)
    num_samples, num_chars = (2, 300) if quick else (8, 1000)
    book = corpus("time-machine", quick, max_chars=100_000 if quick else None)
    part = corpus("time-machine", quick, max_chars=10_000)
    lstm_settings, lstm_training = _lstm(quick)
    at = training_length(len(book.text), lstm_training)
    lstms = [_trained(book, lstm_settings, lstm_training, seed) for seed in seeds]
    section = load_recipe("section")
    rnn_training = replace(section.training, epochs=8 if quick else 500, sample_every=0, precision=precision())
    rnns = [_trained(part, section.model, rnn_training, seed) for seed in seeds]
    every = {name: way for name, way in settings().items() if not quick or name in (GREEDY, "alpha 1", "top-k 3")}
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
        for name, way in every.items():
            found = []
            for seed, (model, _) in enumerate(models):
                texts = _written(model, way, num_samples, num_chars)
                judge = lstms[(seed + 1) % len(lstms)][0]
                found.append(_measured(texts, source, str(book.text)) | _perplexities(model, judge, texts))
            results[kind][name] = {key: [each[key] for each in found] for key in found[0]}
    results["real"] = _real(str(book.text), at, num_chars, [model for model, _ in lstms])
    results["loops"] = [_loop(seed, model, num_chars) for seed, (model, _) in enumerate(lstms)]
    results["shown"] = {name: _sample(lstms[0][0], way) for name, way in SHOWN.items()}
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
    """The fast one, where it can be had: held-out perplexity is the same (``scripts/bench precision``)."""
    return "float32" if backend().kernels is None else "bfloat16"


def _written(model: LanguageModel, way: SamplingSettings, num_samples: int, num_chars: int) -> list[str]:
    """Without the prefix. Greedy, there is but one."""
    number = 1 if way.greedy else num_samples
    return [text[len(PREFIX) :] for text in generate_samples(model, PREFIX, num_chars, way, num_samples=number)]


def _measured(texts: list[str], source: str, whole: str) -> dict[str, float]:
    novelty = check_novelty(texts, source)
    return {
        "distinct": distinct(texts, 2),
        "repeated": repeated(texts, _WIDTH),
        "known": known_words(texts, whole),
        "copied": novelty.share,
        "longest": novelty.longest,
    }


def _perplexities(model: LanguageModel, judge: LanguageModel, texts: list[str]) -> dict[str, float]:
    return {"own": perplexity_of(mean_nats(model, texts)), "judge": perplexity_of(mean_nats(judge, texts))}


def _real(book: str, at: int, num_chars: int, models: list[LanguageModel]) -> dict[str, Any]:
    """The same measures of text that the LSTMs have not seen, cut into chunks as long as their samples."""
    unseen = book[at:]
    chunks = [unseen[start : start + num_chars] for start in range(0, len(unseen) - num_chars + 1, num_chars)]
    measured = _measured(chunks, book[:at], book[:at])
    return measured | {"chunks": len(chunks), "judge": [perplexity_of(mean_nats(model, chunks)) for model in models]}


def _loop(seed: int, model: LanguageModel, num_chars: int) -> dict[str, Any]:
    """Where greedy text begins to go round, and how sure the model is of its own choices, round by round."""
    (text,) = _written(model, SamplingSettings(), 1, num_chars)
    loop = find_loop(text)
    if loop is None:
        return {"seed": seed, "start": None}
    # Greedy text is its own most probable continuation: how probable is a round to one who chooses at random, and how
    # far do the probabilities of one round move until the next?
    chances = chances_of(model, PREFIX + text)[len(PREFIX) - 1 :]
    chosen = (-nats(model, [PREFIX + text])[0, len(PREFIX) - 1 :]).double()
    end = loop.start + _ROUND * loop.period
    last, before = chances[end - loop.period : end], chances[end - 2 * loop.period : end - loop.period]
    return {
        "seed": seed,
        "start": loop.start,
        "period": loop.period,
        "text": text[loop.start : loop.start + loop.period],
        "stays": float(chosen[end - loop.period : end].sum().exp()),
        "moves": float((last - before).abs().max()),
    }


def _sample(model: LanguageModel, way: SamplingSettings) -> str:
    (text,) = generate_samples(model, PREFIX, _SHOWN_CHARS, replace(way, seed=1), num_samples=1)
    return text


def _same_text(model: LanguageModel, alpha: float, num_chars: int) -> bool:
    """Whether p^alpha and the temperature 1/alpha choose the same characters with the same random numbers."""
    ways = SamplingSettings(power=alpha, seed=1), SamplingSettings(temperature=1 / alpha, seed=1)
    first, second = (_written(model, way, 1, num_chars) for way in ways)
    return first == second


def tables(results: Results) -> dict[str, str]:
    """Markdown."""
    return {
        "samples": _samples_table(results["shown"]),
        "alpha": _ways_table(results, ALPHA, lambda name: name.startswith("alpha ")),
        "cuts": _ways_table(results, "way", lambda name: name.startswith("top-")),
        "loops": _loops_table(results["loops"]),
        "copied": _copied_table(results),
        "training": table(
            ["model", "perplexity", "scored on"],
            [
                ["LSTM 256", mean_and_spread(results["training"]["lstm"], 2), "the last 5 %, held out"],
                ["RNN 256", mean_and_spread(results["training"]["rnn"], 2), "its own training text"],
            ],
        ),
    }


def _samples_table(shown: dict[str, str]) -> str:
    rows = [f"| {name} | {_as_it_is(text)} |" for name, text in shown.items()]
    return "\n".join(["| way | text |", "| :-- | :-- |", *rows])


def _as_it_is(text: str) -> str:
    """With whatever Markdown would take for its own marked as text."""
    return re.sub(r"([\\`*_\[\]<>|~$&])", r"\\\1", text)


def _percent(values: Any) -> str:
    return mean_and_spread([100 * value for value in (values if isinstance(values, list) else [values])])


def _ways_table(results: Results, heading: str, chosen: Callable[[str], bool]) -> str:
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
        rows = [*rows[1:], [_LAST, *rows[0][1:]]]
    real = results["real"]
    shares = [_percent(real[key]) for key in ("known", "distinct", "repeated")]
    rows.append(["**real text**", *shares, mean_and_spread(real["judge"], 2)])
    return table([heading, "words known, %", "distinct pairs, %", "repeated, %", "perplexity"], rows)


def _loops_table(loops: list[dict[str, Any]]) -> str:
    rows = []
    for loop in loops:
        if loop["start"] is None:
            rows.append(["nothing", loop["seed"], "", "", ""])
        else:
            chances = [f"{loop[key]:.0e}" for key in ("stays", "moves")]
            rows.append([f"“{loop['text'].strip()}”", loop["seed"], loop["start"], *chances])
    return table(["goes round", "seed", "from character", "a round's p", "p moves by"], rows)


def _copied_table(results: Results) -> str:
    def row(shown: str, name: str) -> list[str]:
        lstm, rnn = results["lstm"][name], results["rnn"][name]
        longest = max(lstm["longest"]), max(rnn["longest"])
        return [shown, _percent(lstm["copied"]), str(longest[0]), _percent(rnn["copied"]), str(longest[1])]

    rows = [row(name.removeprefix("alpha "), name) for name in results["lstm"] if name.startswith("alpha ")]
    real = results["real"]
    return table(
        [ALPHA, "LSTM, copied %", "longest", "RNN, copied %", "longest"],
        [*rows, row(_LAST, GREEDY), ["**real text**", _percent(real["copied"]), str(real["longest"]), "", ""]],
    )


def figures(results: Results) -> dict[str, Figure]:
    """Drawn."""
    return {"alpha": draw_alpha(results), "families": draw_families(results), "copied": draw_copied(results)}


EXPERIMENT = Experiment(measure, tables, figures)
