"""A text that tests cache encoded, as if it were long, and helpers that inspect the cache."""

from pathlib import Path

import torch

from charloom import Corpus

LONG_TEXT = "It was the best of times,\n\n  it was the WORST of times. É \U0001f600\n" * 30


def suffixes(kept_texts: Path) -> list[str]:
    """Returns the suffixes of the files in the cache folder."""
    return sorted(path.suffix for path in kept_texts.iterdir())


def same_corpus(first: Corpus, second: Corpus) -> bool:
    """Returns True if two corpora are of one text, read with the same settings."""
    return (
        first.vocabulary == second.vocabulary
        and torch.equal(first.ids[:], second.ids[:])
        and first.fingerprint == second.fingerprint
        and first.text == second.text
    )
