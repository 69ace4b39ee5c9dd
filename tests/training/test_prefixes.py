"""The default prefix of samples and of ``generate``."""

import pytest

import charloom
from charloom import Corpus


def _corpus(data: bytes) -> Corpus:
    return charloom.corpus_from(data, name="file", unit="byte")


@pytest.mark.parametrize(
    ("start", "prefix"),
    [
        (b"\n  A text of bytes, like others\n", "A text of bytes, lik"),
        ("Die gr\u00f6\u00dften B\u00e4ren w\u00fcten\n".encode(), "Die gr\u00f6\u00dften B\u00e4ren"),
        ("\u5e8a\u524d\u660e\u6708\u5149\u7591\u662f\u5730\n".encode(), "\u5e8a\u524d\u660e\u6708\u5149\u7591"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff", "IHDR"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01Created by a camera of mine\0", "JFIF"),
        (b"\0\xff\x01abc\0", "\0\udcff\x01abc\0"),
    ],
    ids=["text", "umlauts", "chinese", "png", "jpeg", "nothing to read"],
)
def test_prefix_of_a_byte_model(start: bytes, prefix: str) -> None:
    """Text if there is any: it can be shown, and typed."""
    corpus = _corpus(start + bytes(range(128, 256)))
    settings = charloom.ModelSettings(hidden_size=4)
    model = charloom.build_model(corpus.vocabulary, settings)
    training = charloom.TrainingSettings(epochs=1, batch_size=2, num_steps=8, sample_every=0, prefix=(), device="cpu")
    charloom.train(model, corpus, training)
    (found,) = model.provenance["prefix"]
    assert found.startswith(prefix)
    assert found == prefix or not prefix.isprintable()
