"""What does bfloat16 cost in perplexity?

The section's recipe, and the recipe own-text (an LSTM, with validation), are trained in float32 and bfloat16 from the
same ten seeds. The results are the perplexities of the last epoch and their ratio by seed.
"""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import charloom
from alternate import machine, write_result


def perplexity(recipe: charloom.Recipe, corpus: charloom.Corpus, seed: int, precision: Any, epochs: int) -> float:
    """Returns the perplexity of the last epoch, on the validation text if the recipe holds one out."""
    model = charloom.build_model(corpus.vocabulary, recipe.model, seed=seed)
    changes = {"seed": seed, "precision": precision, "epochs": epochs, "sample_every": 0, "device": "cpu"}
    last = charloom.train(model, corpus, dataclasses.replace(recipe.training, **changes))[-1]
    return last.validation_perplexity or last.perplexity


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-seeds", type=int, default=10)
    parser.add_argument("--text", type=Path, help="text for the recipe own-text; default: The Time Machine")
    parser.add_argument("--epochs", type=int, help="number of epochs, to try the benchmark with fewer")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name, own_epochs in (("section", None), ("own-text", 4)):
        recipe = charloom.load_recipe(name)
        source = options.text if name == "own-text" else None
        corpus = charloom.load_corpus(source, **dataclasses.asdict(recipe.corpus))
        epochs = options.epochs or own_epochs or recipe.training.epochs
        found: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        for seed in range(options.num_seeds):
            for precision, perplexities in found.items():
                perplexities.append(perplexity(recipe, corpus, seed, precision, epochs))
            print(name, seed, {precision: round(values[-1], 4) for precision, values in found.items()}, flush=True)
        ratios = [b / a for a, b in zip(found["float32"], found["bfloat16"], strict=True)]
        results[name] = {"epochs": epochs, "text": corpus.name, "perplexity": found, "ratio": ratios}
        print(
            f"{name}: float32 {statistics.mean(found['float32']):.4f}, "
            f"bfloat16 {statistics.mean(found['bfloat16']):.4f}, "
            f"ratio {statistics.mean(ratios):.4f} (by seed {min(ratios):.4f} to {max(ratios):.4f})"
        )
    write_result("precision", {"question": __doc__, "results": results, "machine": machine()})


if __name__ == "__main__":
    main()
