"""Evaluation under the mixture of the codec: the network and context models, which learn from the text that they read.

A message that occurs for the second time is far less surprising than the first time, which a network alone cannot know.
"""

import math
from collections.abc import Sequence

import numpy as np

from charloom.errors import CorpusError, InputError
from charloom.inference.surprisal import Evaluation, Progress, ScoredChunks
from charloom_codec.arguments import TEXT, check_type
from charloom_codec.codec import Codec
from charloom_codec.format.opening import AnyModel


def score_adaptively(model: AnyModel, chunks: Sequence[str | bytes], progress: Progress | None = None) -> ScoredChunks:
    """Measures the surprisal of every byte of a text under the probabilities that ``Codec.compress`` codes with.

    Every byte of the text is scored, as it is: nothing is normalized, and nothing is out of vocabulary.

    Args:
        model: A model folder, whose priming the mixture has read; or a model, without priming.
        chunks: Chunks of the text, str or bytes.
        progress: Callback for the numbers of bytes that have been scored, and of all bytes; any thread may call it.

    Raises:
        CorpusError: The text is empty.
        InputError: The model is of another type.
        ModelFolderError: A file of the folder cannot be read or written.
    """
    if model is None:
        raise InputError("the model must be a model folder or a LanguageModel, not None")
    for number, chunk in enumerate(chunks):
        check_type(TEXT, **{f"chunks[{number}]": chunk})
    # A str from Python can have lone surrogates, which strict UTF-8 does not encode.
    encoded = [chunk if isinstance(chunk, bytes) else chunk.encode("utf-8", "surrogatepass") for chunk in chunks]
    data = b"".join(encoded)
    if not data:
        raise CorpusError("the text is empty: pass at least one character")
    done = 0

    def add_progress(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, len(data))

    bits = Codec(model).measure(data, add_progress)
    # In float64: float32 would lose digits over a long text.
    running = np.append(0.0, np.cumsum(bits, dtype=np.float64)) * math.log(2)
    num_chars = list(map(len, chunks))
    evaluation = Evaluation(sum(num_chars), len(data), float(running[-1]))
    return ScoredChunks(evaluation, chunks, encoded, num_chars, [0] * len(chunks), running)
