"""Trains ``english``, the model of English prose that is part of the packages, and writes its two folders.

The training text consists of five novels in the public domain. Each is divided into blocks, half of which have straight
quotation marks and hyphens instead of typographic ones, and half of which have one line for each paragraph instead of
lines of 70 characters, so that the model knows all of these forms. The end of each novel is held out: its loss is
printed, and the mixing weights of the codec adapt to it. The weights are rounded to float16 before they are quantized
to integers. A folder that was published must never change: train a later version under a new name, and add it to
NAMED_MODELS in charloom_codec/named_models/finding.py.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import string
import tempfile
import urllib.request
from pathlib import Path

import charloom
from charloom_codec.model.integer_model import INTEGER_MODEL_FILE
from charloom_codec.model.priming import PRIMING_FILE

_ROOT = Path(__file__).parent.parent
_NOVELS = {
    "dorian_gray.txt": (174, "82ec295a730d72f9bc8bf08adc38f9cfcdfa23d8452e724c5a544293771cff8a"),
    "frankenstein.txt": (84, "99491fbd01aaa3f27f7f67463e07fd03e354369eb3483acd9e68dc6528a0a156"),
    "pride_and_prejudice.txt": (1342, "2bbc7375db146dc1f0f62a301296e972fee0cde7e0464dbe7a0c1fc8a68fc643"),
    "scarlet_letter.txt": (25344, "008f2327e6466a6974d59f2f63fbeae0c3eba29cc2b9f4ea8e12d206fc089393"),
    "tale_of_two_cities.txt": (98, "d614b101548dd9271afa7f63f0899640cf0b91ccf3daae0ac46e5bf09d62105c"),
}
"""Files in english/ of the data folder, with their numbers at Project Gutenberg and their SHA-256."""
_URL = "https://www.gutenberg.org/cache/epub/{number}/pg{number}.txt"
_STRAIGHT = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "—": "--", "…": "..."})
_ACCENTED = "ÀÁÂÄÇÈÉÊËÍÎÏÑÓÔÖÙÚÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüœ"
_SYMBOLS = "‘’“”—–…•£€°§«»½"
_BLOCK = 6000  # characters of a block of one form, at least
_HELD_OUT = 10_000  # characters at the end of each novel
_PRIMING = 70_000  # characters of each novel before its held-out part that the mixture reads


def read_novel(name: str) -> str:
    """Returns a novel from the data folder, or else from Project Gutenberg without its header and licence."""
    number, sha256 = _NOVELS[name]
    file = Path(os.environ.get("CHARLOOM_DATA", "")) / "english" / name
    if file.exists():
        data = file.read_bytes()
    else:
        try:
            with urllib.request.urlopen(_URL.format(number=number)) as response:
                downloaded = response.read().decode("utf-8-sig").replace("\r\n", "\n")
        except OSError as error:
            raise SystemExit(
                f"{name}: {error}; put it into a folder english, and set CHARLOOM_DATA to its parent"
            ) from None
        (text,) = re.findall(r"\*\*\* START OF[^\n]*\n(.*)\n\*\*\* END OF", downloaded, re.DOTALL)
        data = (text.strip("\n") + "\n").encode()
    if hashlib.sha256(data).hexdigest() != sha256:
        print(f"{name} differs from the text of the published model: this one will differ, too")
    return data.decode()


def vary_forms(text: str, source: random.Random) -> str:
    """Returns the text with straight quotation marks in half of its blocks, and without line breaks in half of them."""
    changed = []
    for block in split_into_blocks(text):
        if source.random() < 0.5:
            block = block.translate(_STRAIGHT)
        if source.random() < 0.5:
            block = re.sub(r"(?<=\S)\n(?=\S)", " ", block)
        changed.append(block)
    return "".join(changed)


def split_into_blocks(text: str) -> list[str]:
    """Returns blocks of whole paragraphs of at least ``_BLOCK`` characters, except the last."""
    blocks = [""]
    for paragraph in re.split(r"(?<=\n\n)", text):
        if len(blocks[-1]) >= _BLOCK:
            blocks.append("")
        blocks[-1] += paragraph
    return blocks


def train(seen: str, held_out: str, options: argparse.Namespace) -> charloom.LanguageModel:
    """Returns a model of the text, and prints its loss on the held-out text."""
    # A line with every character that the model is to know: those that no novel has are otherwise out of vocabulary.
    known = string.printable[:95] + _ACCENTED + _SYMBOLS
    corpus = charloom.corpus_from(f"{known}\n{seen}", name="five English novels")
    changes = {"cell": "lstm", "hidden_size": options.hidden_size, "embedding_size": 64, "dropout": 0.2}
    changes |= {"batch_size": 32, "num_steps": 96, "epochs": options.epochs, "optimizer": "adamw", "schedule": "cosine"}
    changes |= {"learning_rate": 0.004, "weight_decay": 0.1, "precision": "bfloat16", "sample_every": 0}
    recipe = charloom.load_recipe("own-text").with_changes({**changes, "validation_fraction": 0.0})
    model = charloom.build_model(corpus.vocabulary, recipe.model)
    charloom.train(model, corpus, recipe.training, listeners=[lambda event: print_epoch(event)])
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    loss = charloom.evaluate(model, held_out).bits_per_char
    print(f"{loss:.4f} bits per character of the held-out text")
    return model


def print_epoch(event: object) -> None:
    """Prints the record of an epoch that ended."""
    if record := getattr(event, "record", None):
        print(f"epoch {record.epoch}: perplexity {record.perplexity:.3f}, {record.seconds:.0f} s", flush=True)


def main() -> None:
    """Trains the model and writes its folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="name of the version, such as english-2")
    parser.add_argument("--hidden-size", type=int, default=448)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--force", action="store_true", help="overwrite a version that was not published")
    options = parser.parse_args()
    floats = _ROOT / "src" / "charloom" / "models" / "named" / options.name
    integers = _ROOT / "codec" / "src" / "charloom_codec" / "named_models" / options.name
    if floats.exists() and not options.force:
        parser.error(f"{floats} exists")
    source = random.Random(0)
    novels = [vary_forms(read_novel(name), source) for name in _NOVELS]
    seen = "".join(novel[:-_HELD_OUT] for novel in novels)
    held_out = "".join(novel[-_HELD_OUT:] for novel in novels)
    model = train(seen, held_out, options)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model.save(folder)
        excerpts = "".join(novel[-_HELD_OUT - _PRIMING : -_HELD_OUT] for novel in novels)
        charloom.prepare_codec(folder, model, seen=excerpts.encode(), held_out=held_out.encode())
        integers.mkdir(parents=True, exist_ok=True)
        for name in (INTEGER_MODEL_FILE, PRIMING_FILE):
            shutil.copyfile(folder / name, integers / name)
    # Half the size: the float32 weights have no more than the digits of float16.
    model.half().save(floats)
    for file in [*floats.iterdir(), *integers.iterdir()]:
        print(f"{file.relative_to(_ROOT)}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
