"""The process that trains a sweep's runs, one after the other: ``python -m charloom.sweeps.worker``.

Orders come as lines of JSON on standard input, and what became of them goes back on standard output. The process ends
with standard input, and in the midst of a run if the process that gave the order is gone.
"""

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import IO, TypedDict

import numpy as np

from charloom.errors import CharloomError, CharloomWarning
from charloom.runs.plan import RunPlan
from charloom.runs.training_run import TrainingRun
from charloom.settings.names import Value
from charloom.settings.recipes import Recipe
from charloom.sweeps.folder import write_run
from charloom.text.corpora import Corpus
from charloom.text.stored_ids import StoredIds
from charloom.text.vocabulary import Vocabulary
from charloom.training.events import EpochEnded, Event
from charloom.training.processes import Processes

_IDS_AT_ONCE = 1 << 22


class Order(TypedDict):
    """A run to train: its folder, its text as ``write_corpus`` wrote it, the values of its recipe."""

    folder: str
    corpus: str
    settings: dict[str, Value]
    keep_model: bool


def write_corpus(path: Path, corpus: Corpus) -> None:
    """Writes a text for workers: two files, which ``read_corpus`` reads; no pickle. Raises OSError on a full disk."""
    data = {"name": corpus.name, "vocabulary": corpus.vocabulary.to_json(), "fingerprint": corpus.fingerprint}
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    narrow = np.min_scalar_type(len(corpus.vocabulary))
    with path.with_suffix(".ids").open("wb") as file:
        for start in range(0, len(corpus.ids), _IDS_AT_ONCE):
            file.write(corpus.ids[start : start + _IDS_AT_ONCE].numpy().astype(narrow).tobytes())


def read_corpus(path: Path) -> Corpus:
    """The inverse of ``write_corpus``. The ids stay on the disk."""
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    vocabulary = Vocabulary.from_json(data["vocabulary"])
    ids = np.memmap(path.with_suffix(".ids"), np.min_scalar_type(len(vocabulary)), "r")
    return Corpus(data["name"], StoredIds(ids), vocabulary, data["fingerprint"])


def main() -> None:
    """Does what it is ordered until nobody is there to order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; one decides
    warnings.simplefilter("ignore", CharloomWarning)  # the table shows what they say
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that nothing that a library prints is taken for an answer
    corpora: dict[str, Corpus] = {}
    for line in sys.stdin:
        order: Order = json.loads(line)
        if order["corpus"] not in corpora:
            corpora = {order["corpus"]: read_corpus(Path(order["corpus"]))}  # one at a time: texts may be large
        try:
            _train(order, corpora[order["corpus"]], answers)
            _answer(answers, ended=True)
        except (CharloomError, OSError) as error:
            _answer(answers, error=f"{getattr(error, 'strerror', None) or error}")
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            _answer(answers, failed=f"{type(error).__name__}: {lines[0]}")


def _train(order: Order, corpus: Corpus, answers: IO[str]) -> None:
    """Carries out one run in its folder."""
    parent = os.getppid()
    _answer(answers, epoch=0)  # fails if who gave the order is gone already, and the parent another

    def report(event: Event) -> None:
        if os.getppid() != parent:  # nobody is there any more who waits for the run
            os._exit(1)
        if isinstance(event, EpochEnded):
            _answer(answers, epoch=event.record.epoch)

    recipe, folder = Recipe().with_changes(order["settings"]), Path(order["folder"])
    plan = RunPlan(corpus, folder, recipe, checkpoints=False, save_model=order["keep_model"])
    with TrainingRun(plan, processes=Processes()) as run:
        write_run(folder, recipe, corpus, run.train([report]))


def _answer(answers: IO[str], **message: object) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
