"""Corpora with names: their URLs, hashes and default normalization.

To add a corpus, add an entry to ``NAMED_CORPORA``.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from charloom.errors import CorpusUnavailableError
from charloom.settings.recipes import AUTO, OWN_TEXT, SECTION
from charloom.text.clean_up import CleanUp

DATA_VARIABLE, CACHE_VARIABLE = "CHARLOOM_DATA", "CHARLOOM_CACHE"
_TIMEOUT_SECONDS = 15


@dataclass(frozen=True)
class NamedCorpus:
    """A text with public URLs.

    Attributes:
        file_name: Name of its file in the data directory and in the cache.
        sha256: SHA-256 of the file, hexadecimal.
        urls: URLs in the order in which they are tried.
        clean_up: Default normalization.
    """

    file_name: str
    sha256: str
    urls: tuple[str, ...]
    clean_up: CleanUp = field(default_factory=CleanUp)


TIME_MACHINE = "time-machine"
PYTHON_REFERENCE = "python-reference"
"""Name of the reference text in English that is part of CPython; it differs slightly between Python versions."""

NAMED_CORPORA = {
    # As the textbook distributes it (sha1 090b5e7e70c295757f55df93cb0a180b9691891a), with the textbook's normalization.
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
    """Returns the folder for files that can be created or downloaded again.

    It is the value of CHARLOOM_CACHE, or else ``charloom`` in the user's cache folder.
    """
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("charloom"))


def read_named_corpus(name: str) -> bytes:
    """Returns the bytes of a named corpus from the data directory, the cache or its URLs, in this order.

    Raises CorpusUnavailableError with the attempts and what to do.
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
            # A file of this name may have another edition of the text, with other results.
            if hashlib.sha256(data).hexdigest() == corpus.sha256:
                return data
            tried.append(f"{file} has different content")
        except OSError:
            tried.append(f"{file} is missing or unreadable")
    cache = cache_folder()
    for url in corpus.urls:
        try:
            import pooch  # slow to import, and needed only here

            pooch.get_logger().setLevel("WARNING")
            downloader = pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS)
            sha256 = f"sha256:{corpus.sha256}"
            return Path(pooch.retrieve(url, sha256, corpus.file_name, cache, downloader=downloader)).read_bytes()
        except Exception as error:  # requests, urllib3, pooch and the file system have no common base
            # Network libraries nest long messages; a user can act only on the kind of failure.
            connected = not any("Connection" in kind.__name__ for kind in type(error).__mro__)
            tried.append(f"{url}: " + (f"{type(error).__name__}: {error}"[:120] if connected else "no connection"))
    raise CorpusUnavailableError(
        f"corpus {name!r} is not available ({'; '.join(tried)}); connect to the network, or put {corpus.file_name} "
        f"into a folder and set {DATA_VARIABLE} to that folder"
    )


def default_recipe(corpus: Sequence[str], *, fits: bool = True) -> str:
    """Returns the default recipe of a corpus: the section's for the section's own text, another for all others.

    fits: True for the recipe whose settings are chosen when the run starts; False for fixed settings.
    """
    # No name stands for The Time Machine.
    if tuple(corpus) in ((), (TIME_MACHINE,)):
        return SECTION
    return AUTO if fits else OWN_TEXT
