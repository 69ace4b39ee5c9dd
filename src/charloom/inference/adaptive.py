"""Evaluation under the mixture of the codec: the network and context models, which have read the training text.

The context models learn from the text that they read: a message that occurs for the second time is far less surprising
than the first time, which a network alone cannot know. Or each line is scored by itself: then all occurrences of a
message have about the same scores.
"""

import math
from collections.abc import Sequence

import numpy as np

from charloom.errors import CorpusError, InputError
from charloom.inference.surprisal import Evaluation, Progress, ScoredChunks
from charloom_codec.arguments import TEXT, check_type
from charloom_codec.codec import Codec
from charloom_codec.engines.engine import CodingCosts
from charloom_codec.format.opening import AnyModel
from charloom_codec.format.ordered_work import Progress as ByteProgress
from charloom_codec.records.record_codec import RecordCodec


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
    encoded = _encode(model, chunks)
    data = b"".join(encoded)
    costs = Codec(model).measure(data, _make_counter(len(data), progress))
    return _make_scores(chunks, encoded, costs)


def score_lines_alone(model: AnyModel, lines: Sequence[str | bytes], progress: Progress | None = None) -> ScoredChunks:
    """Measures the surprisal of every byte of lines under the probabilities that ``RecordCodec.encode`` codes with.

    Each line is scored as if it was the first one after the training text: the order of the lines has no effect.

    Args:
        model: A model folder, whose priming the mixture has read; or a model, without priming.
        lines: Lines of the text with their line feeds, which the last one may lack.
        progress: Callback for the numbers of bytes that have been scored, and of all bytes; any thread may call it.

    Raises:
        CorpusError, InputError, ModelFolderError: As for ``score_adaptively``.
    """
    encoded = _encode(model, lines)
    records = [line.removesuffix(b"\n") for line in encoded]
    found = RecordCodec(model).measure_batch(records, _make_counter(sum(map(len, records)), progress))
    # The end of a record is its line feed, which is not scored if the last line has none.
    of_lines = [[array[: len(line)] for array in costs] for costs, line in zip(found, encoded, strict=True)]
    return _make_scores(lines, encoded, CodingCosts(*map(np.concatenate, zip(*of_lines, strict=True))))


def _encode(model: AnyModel, chunks: Sequence[str | bytes]) -> list[bytes]:
    """Returns the chunks as bytes. Raises InputError or CorpusError if an argument cannot be scored."""
    if model is None:
        raise InputError("the model must be a model folder or a LanguageModel, not None")
    for number, chunk in enumerate(chunks):
        check_type(TEXT, **{f"chunks[{number}]": chunk})
    if not any(chunks):
        raise CorpusError("the text is empty: pass at least one character")
    # A str from Python can have lone surrogates, which strict UTF-8 does not encode.
    return [chunk if isinstance(chunk, bytes) else chunk.encode("utf-8", "surrogatepass") for chunk in chunks]


def _make_counter(num_bytes: int, progress: Progress | None) -> ByteProgress:
    """Returns a callback for numbers of bytes, which calls another one with the bytes so far and all bytes."""
    done = 0

    def add_progress(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, num_bytes)

    return add_progress


def _make_scores(chunks: Sequence[str | bytes], encoded: list[bytes], costs: CodingCosts) -> ScoredChunks:
    """Returns the scores of chunks from the costs of each byte."""
    # In float64: float32 would lose digits over a long text.
    nats, expected_nats = (bits.astype(np.float64) * math.log(2) for bits in costs)
    num_chars = list(map(len, chunks))
    evaluation = Evaluation(sum(num_chars), len(nats), float(nats.sum()))
    return ScoredChunks(evaluation, chunks, encoded, num_chars, [0] * len(chunks), nats, expected_nats)
