"""A text that tests keep encoded, as if it were long, and what they ask of what is kept."""

from pathlib import Path

import torch

from charloom import Corpus

LONG_TEXT = "It was the best of times,\n\n  it was the WORST of times. É \U0001f600\n" * 30


def suffixes(kept_texts: Path) -> list[str]:
    """Of the files in the cache folder."""
    return sorted(path.suffix for path in kept_texts.iterdir())


def same_corpus(first: Corpus, second: Corpus) -> bool:
    """Whether two corpora are of one text, read in one way."""
    return (
        first.vocabulary == second.vocabulary
        and torch.equal(first.ids[:], second.ids[:])
        and first.fingerprint == second.fingerprint
        and first.text == second.text
    )
