"""The process that trains a sweep's runs, one after the other: ``python -m charloom.sweeps.worker``.

It reads tasks as lines of JSON from standard input and writes replies to standard output. It exits at the end of its
standard input, and during a run when the main process has ended.
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
"""Number of ids converted at once, so that a large text is not copied in memory as a whole."""


class Task(TypedDict):
    """A task to train a run, as JSON.

    Attributes:
        folder: Folder to write the run to.
        corpus: Path of the text, as given to ``write_corpus``.
        settings: Values of the recipe, by name.
        keep_model: Save the model in the folder.
    """

    folder: str
    corpus: str
    settings: dict[str, Value]
    keep_model: bool


def write_corpus(path: Path, corpus: Corpus) -> None:
    """Writes a text to two files, which ``read_raw_texts`` reads. Raises OSError if the disk is full."""
    # JSON and plain ids instead of pickle, which could execute code from a file in the folder.
    data = {"name": corpus.name, "vocabulary": corpus.vocabulary.to_json(), "fingerprint": corpus.fingerprint}
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    # The smallest integer type that holds every id; ``read_raw_texts`` derives the same type from the vocabulary.
    narrow = np.min_scalar_type(len(corpus.vocabulary))
    with path.with_suffix(".ids").open("wb") as file:
        for start in range(0, len(corpus.ids), _IDS_AT_ONCE):
            file.write(corpus.ids[start : start + _IDS_AT_ONCE].numpy().astype(narrow).tobytes())


def read_raw_texts(path: Path) -> Corpus:
    """Reads a text that ``write_corpus`` wrote. The ids are mapped, not read into memory."""
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    vocabulary = Vocabulary.from_json(data["vocabulary"])
    # All workers share the mapped pages, so that the memory does not grow with their number.
    ids = np.memmap(path.with_suffix(".ids"), np.min_scalar_type(len(vocabulary)), "r")
    return Corpus(data["name"], StoredIds(ids), vocabulary, data["fingerprint"])


def main() -> None:
    """Trains the runs of the tasks until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all processes; the main one decides
    warnings.simplefilter("ignore", CharloomWarning)  # the table of results shows what they report
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # text that a library prints must not be read as a reply
    corpora: dict[str, Corpus] = {}
    for line in sys.stdin:
        task: Task = json.loads(line)
        if task["corpus"] not in corpora:
            corpora = {task["corpus"]: read_raw_texts(Path(task["corpus"]))}  # only one is kept: texts may be large
        try:
            _train(task, corpora[task["corpus"]], replies)
            _reply(replies, ended=True)
        except (CharloomError, OSError) as error:
            _reply(replies, error=f"{getattr(error, 'strerror', None) or error}")
        # Anything else, such as a lack of memory, fails this run only; the worker continues with the next one.
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            _reply(replies, failed=f"{type(error).__name__}: {lines[0]}")


def _train(task: Task, corpus: Corpus, replies: IO[str]) -> None:
    """Trains one run in its folder."""
    parent = os.getppid()
    # If the main process has ended already, ``parent`` is another process, but then this write fails.
    _reply(replies, epoch=0)

    def report(event: Event) -> None:
        if os.getppid() != parent:  # the main process has ended: nothing waits for the run
            os._exit(1)
        if isinstance(event, EpochEnded):
            _reply(replies, epoch=event.record.epoch)

    recipe, folder = Recipe().with_changes(task["settings"]), Path(task["folder"])
    plan = RunPlan(corpus, folder, recipe, checkpoints=False, save_model=task["keep_model"])
    with TrainingRun(plan, processes=Processes()) as run:
        write_run(folder, recipe, corpus, run.train([report]))


def _reply(replies: IO[str], **message: object) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
