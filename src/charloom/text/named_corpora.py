"""Corpora known by name: where they are to be had, and the hash that says it is they.

To add one, add a line to ``NAMED_CORPORA``.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from charloom.errors import CorpusUnavailableError
from charloom.settings.recipes import OWN_TEXT, SECTION
from charloom.text.clean_up import CleanUp

DATA_VARIABLE, CACHE_VARIABLE = "CHARLOOM_DATA", "CHARLOOM_CACHE"
_TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class NamedCorpus:
    """A text with a public home: its file's name and hash, its homes in the order they are tried, its clean-up."""

    file_name: str
    sha256: str
    urls: tuple[str, ...]
    clean_up: CleanUp = field(default_factory=CleanUp)


TIME_MACHINE = "time-machine"
PYTHON_REFERENCE = "python-reference"
"""English that every CPython carries; its text differs a little from one Python version to the next."""

NAMED_CORPORA = {
    # As the textbook distributes it (sha1 090b5e7e70c295757f55df93cb0a180b9691891a), with the textbook's clean-up.
    TIME_MACHINE: NamedCorpus(
        "timemachine.txt",
        "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
        (
            "https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
            "https://d2l-data.s3.amazonaws.com/timemachine.txt",
        ),
        CleanUp(lowercase=True, collapse_whitespace=True),
    ),
    # The extract of char-rnn, which nanoGPT uses too.
    "tiny-shakespeare": NamedCorpus(
        "tinyshakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
    ),
}


def cache_folder() -> Path:
    """The folder for what can be made, or downloaded, again: of CHARLOOM_CACHE, else in the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("charloom"))


def read_named(name: str) -> bytes:
    """The bytes of a named corpus: from the data directory, else the cache, else its homes on the network.

    Raises CorpusUnavailableError with what was tried and the way out.
    """
    if name == PYTHON_REFERENCE:
        import pydoc_data.topics  # large, and needed only here

        return "\n".join(pydoc_data.topics.topics.values()).encode()
    corpus = NAMED_CORPORA[name]
    tried = []
    if data_directory := os.environ.get(DATA_VARIABLE):
        file = Path(data_directory) / corpus.file_name
        try:
            data = file.read_bytes()
            if hashlib.sha256(data).hexdigest() == corpus.sha256:
                return data
            tried.append(f"{file} has another content")
        except OSError:
            tried.append(f"{file} is not there")
    cache = cache_folder()
    for url in corpus.urls:
        try:
            return _retrieve(url, corpus, cache).read_bytes()
        except Exception as error:  # requests, urllib3, pooch and the file system have no common base
            tried.append(f"{url}: {_first_clause(error)}")
    raise CorpusUnavailableError(
        f"corpus {name!r} cannot be had ({'; '.join(tried)}); connect to the network, or put {corpus.file_name} into a "
        f"folder and name the folder in {DATA_VARIABLE}"
    )


def _retrieve(url: str, corpus: NamedCorpus, cache: Path) -> Path:
    import pooch  # slow to import, and needed only here

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS)
    return Path(pooch.retrieve(url, f"sha256:{corpus.sha256}", corpus.file_name, cache, downloader=downloader))


def _first_clause(error: Exception) -> str:
    """Network libraries nest long messages: the kind of failure is what a user can act on."""
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    return "no connection" if "Connection" in kinds else f"{type(error).__name__}: {error}"[:120]


def default_recipe(corpus: Sequence[str]) -> str:
    """Returns the recipe for a corpus if none is named: the section's for its own text, one for all other texts."""
    return SECTION if tuple(corpus) in ((), (TIME_MACHINE,)) else OWN_TEXT
