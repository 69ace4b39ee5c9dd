"""The process that trains a sweep's runs, one after the other: ``python -m charloom.sweeps.worker``.

Orders come as lines of JSON on standard input, and what became of them goes back on standard output. Where standard
input ends, so does the process, at once: whoever gave the orders is gone.
"""

import json
import os
import queue
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from charloom.errors import CharloomError, CharloomWarning, TrainingDivergedError
from charloom.model_building import build_model
from charloom.sweeps.folder import write_run
from charloom.sweeps.plan import recipe_from_json
from charloom.text.corpora import Corpus
from charloom.text.stored_ids import StoredIds
from charloom.text.vocabulary import Vocabulary
from charloom.training.events import EpochEnded, Event
from charloom.training.run_folder import RunFolder, texts_for_codec
from charloom.training.trainer import train

_IDS_AT_ONCE = 1 << 22


def write_corpus(path: Path, corpus: Corpus) -> None:
    """Writes a text for workers: two files, which ``read_corpus`` reads; no pickle. Raises OSError on a full disk.

    (A mapped file would end the process there, without a word.)
    """
    data = {"name": corpus.name, "vocabulary": corpus.vocabulary.to_json(), "fingerprint": corpus.fingerprint}
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")
    narrow = np.min_scalar_type(len(corpus.vocabulary))
    header = {"descr": np.lib.format.dtype_to_descr(narrow), "fortran_order": False, "shape": tuple(corpus.ids.shape)}
    with path.with_suffix(".npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(corpus.ids), _IDS_AT_ONCE):
            file.write(corpus.ids[start : start + _IDS_AT_ONCE].numpy().astype(narrow).tobytes())


def read_corpus(path: Path) -> Corpus:
    """The inverse of ``write_corpus``. The ids stay on the disk."""
    data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    ids = StoredIds(np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False))
    return Corpus(data["name"], ids, Vocabulary.from_json(data["vocabulary"]), data["fingerprint"])


def main() -> None:
    """Does what it is ordered until nobody is there to order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; one decides
    warnings.simplefilter("ignore", CharloomWarning)  # the table shows what they say
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that nothing that a library prints is taken for an answer
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    corpora: dict[str, Corpus] = {}
    while True:
        order = json.loads(orders.get())
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


def _listen(orders: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def _train(order: dict[str, Any], corpus: Corpus, answers: IO[str]) -> None:
    """One run into its folder."""
    recipe = recipe_from_json(order["settings"])
    model = build_model(corpus.vocabulary, recipe.model, seed=recipe.training.seed)
    folder = RunFolder(Path(order["folder"]))
    folder.enter()

    def tell(event: Event) -> None:
        if isinstance(event, EpochEnded):
            _answer(answers, epoch=event.record.epoch)

    outcome, message = "finished", ""
    try:
        train(model, corpus, recipe.training, listeners=[folder, tell])
    except TrainingDivergedError as error:
        outcome, message = "diverged", str(error)
    results = model.provenance["results"]
    if order["keep_model"] and outcome == "finished":
        folder.finish(model, texts_for_codec(corpus, recipe.training))
    write_run(folder.path, recipe, corpus, outcome, message, results["epoch"] if results else None)
    folder.leave()


def _answer(answers: IO[str], **message: object) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
