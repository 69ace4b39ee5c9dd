"""Is ``charloom train`` slower than a plain PyTorch loop of the same recipe?

The section's recipe on The Time Machine: one-hot 44, tanh RNN 256, batch size 32, 35 steps, clipping to 1, SGD.
charloom's side is ``charloom.train`` with the listeners of ``charloom train``; the plain loop follows the textbook.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

import charloom
from alternate import alternate, report
from charloom.cli.training_display import TrainingDisplay
from charloom.runs.folder import RunFolder

_RECIPE = charloom.load_recipe("section")
_SETTINGS = _RECIPE.training


def charloom_training(corpus: charloom.Corpus, epochs: int) -> None:
    """Trains as ``charloom train`` does between reading the text and saving the model."""
    model = charloom.build_model(corpus.vocabulary, _RECIPE.model)
    settings = charloom.TrainingSettings(**vars(_SETTINGS) | {"epochs": epochs, "device": "cpu"})
    with tempfile.TemporaryDirectory() as folder, Path("/dev/null").open("w") as null:
        run_folder = RunFolder(Path(folder))
        with TrainingDisplay(Console(file=null), settings) as display:
            charloom.train(model, corpus, settings, listeners=[run_folder, display])


def plain_batches(ids: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields minibatches by the textbook's sequential partitioning."""
    offset = random.randrange(_SETTINGS.num_steps)
    used = (len(ids) - offset - 1) // _SETTINGS.batch_size * _SETTINGS.batch_size
    inputs = ids[offset : offset + used].reshape(_SETTINGS.batch_size, -1)
    targets = ids[offset + 1 : offset + 1 + used].reshape(_SETTINGS.batch_size, -1)
    for start in range(0, inputs.shape[1] // _SETTINGS.num_steps * _SETTINGS.num_steps, _SETTINGS.num_steps):
        yield inputs[:, start : start + _SETTINGS.num_steps], targets[:, start : start + _SETTINGS.num_steps]


def plain_loop(ids: Tensor, vocabulary_size: int, epochs: int) -> None:
    """Trains the same recipe with a plain PyTorch loop."""
    rnn, dense = (
        nn.RNN(vocabulary_size, _RECIPE.model.hidden_size),
        nn.Linear(_RECIPE.model.hidden_size, vocabulary_size),
    )
    parameters = [*rnn.parameters(), *dense.parameters()]
    for parameter in parameters:
        nn.init.normal_(parameter, std=0.01) if parameter.dim() > 1 else nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(parameters, lr=_SETTINGS.learning_rate)
    for _ in range(epochs):
        state = torch.zeros(1, _SETTINGS.batch_size, _RECIPE.model.hidden_size)
        for inputs, targets in plain_batches(ids):
            one_hot = nn.functional.one_hot(inputs.t(), vocabulary_size).float()
            outputs, state = rnn(one_hot, state.detach())
            loss = nn.functional.cross_entropy(dense(outputs).reshape(-1, vocabulary_size), targets.t().reshape(-1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch's
            nn.utils.clip_grad_norm_(parameters, _SETTINGS.clip_norm)
            optimizer.step()


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="epochs per round, of 8 minibatches each")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    corpus = charloom.load_corpus(None, **vars(_RECIPE.corpus))
    contestants = {
        "charloom": lambda: charloom_training(corpus, options.epochs),
        "plain_pytorch": lambda: plain_loop(corpus.ids[:], len(corpus.vocabulary), options.epochs),
    }
    seconds = alternate(contestants, options.rounds)
    question = "Is charloom train slower than a plain PyTorch loop of the section's recipe?"
    report("training_step", question, seconds, "plain_pytorch", epochs=options.epochs, corpus=corpus.name)


if __name__ == "__main__":
    main()
