"""Writing text with a model: prediction from a prefix."""

import codecs
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, AnyStr

import torch

from charloom.arguments import TEXT, check_type
from charloom.errors import InputError, SettingsError, UnknownCharacterError
from charloom.inference.sampling import Sampler
from charloom.models.predictor import GeneratingPredictor, Predictor, check_weights, predicting
from charloom.recurrence.kernel_calls import NativeGenerator
from charloom.recurrence.state import state_to_tuple
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.limits import check_choice, check_count
from charloom.settings.sampling import GenerationPrecision, SamplingSettings
from charloom.shapes import Ids, State, StepLogits, TextIds

MAX_SAMPLES = 10_000
MAX_CHARS_OF_SAMPLES = 20_000_000
"""In all samples together: they are kept until they are done, a few dozen bytes a character."""
_MAX_CHUNK = 256
"""Tokens of one native call: a hundredth of a second, so that Ctrl-C and a screen do not wait."""


def generate(
    model: Predictor,
    prefix: AnyStr,
    num_chars: int,
    sampling: SamplingSettings | None = None,
    *,
    stop: AnyStr | None = None,
    unknown: UnknownPolicy = "refuse",
    precision: GenerationPrecision = "float32",
) -> AnyStr:
    """The prefix, continued by ``num_chars`` tokens.

    Args:
        model: A LanguageModel, or anything that meets ``Predictor``.
        prefix: What to go on from; at least one character that the model knows. It is cleaned as the model's training
            text was. Bytes in, bytes out (for byte models); a byte model given a str decodes what it wrote as UTF-8,
            with replacement characters where that is not text.
        num_chars: Tokens to write after the prefix; 0 or more.
        sampling: How to choose; greedy where None.
        stop: End before this text where the model writes it.
        unknown: What to do with characters of the prefix that the model does not know.
        precision: Of the weights while generating: float32, or int8, which is faster and a little less exact.

    For the chunks as they come, iterate ``stream``, which takes the same arguments.
    """
    chunks = stream(model, prefix, num_chars, sampling, stop=stop, unknown=unknown, precision=precision)
    return prefix[:0].join(chunks)


def stream(
    model: Predictor,
    prefix: AnyStr,
    num_chars: int,
    sampling: SamplingSettings | None = None,
    *,
    stop: AnyStr | None = None,
    unknown: UnknownPolicy = "refuse",
    precision: GenerationPrecision = "float32",
) -> Iterator[AnyStr]:
    """As ``generate``, chunk by chunk: the (cleaned) prefix first, then what the model writes, as it comes.

    The prefix is read when this is called. Do not change the model until the last chunk: without native kernels, each
    chunk is computed with the weights that the model has by then.
    """
    prefix_ids = _prefix_ids(model, prefix, num_chars, unknown)
    chunks = generate_ids(model, prefix_ids, num_chars, sampling, precision=precision)
    return _chunks(model, prefix, prefix_ids, (chunk[0].tolist() for chunk in chunks), stop)


def generate_samples(
    model: Predictor,
    prefix: AnyStr,
    num_chars: int,
    sampling: SamplingSettings | None = None,
    *,
    num_samples: int,
    stop: AnyStr | None = None,
    unknown: UnknownPolicy = "refuse",
    precision: GenerationPrecision = "float32",
) -> list[AnyStr]:
    """Several continuations of one prefix, computed side by side; sample 0 is what ``generate`` gives."""
    check_samples(num_samples, num_chars)
    prefix_ids = _prefix_ids(model, prefix, num_chars, unknown)
    chunks = list(generate_ids(model, prefix_ids, num_chars, sampling, num_samples=num_samples, precision=precision))
    samples = torch.cat(chunks, dim=1) if chunks else torch.empty(num_samples, 0, dtype=torch.int64, device="cpu")
    return [prefix[:0].join(_chunks(model, prefix, prefix_ids, [ids.tolist()], stop)) for ids in samples]


def check_samples(num_samples: int, num_chars: int) -> None:
    """Raises SettingsError for more samples than can be computed side by side."""
    check_count("num_samples", num_samples, minimum=1)
    check_count("num_chars", num_chars)
    if num_samples > MAX_SAMPLES:
        raise SettingsError(
            f"at most {MAX_SAMPLES:,} are computed side by side; ask again with another seed for more",
            setting="num_samples",
            value=num_samples,
        )
    if num_samples > 1 and num_samples * num_chars > MAX_CHARS_OF_SAMPLES:
        raise SettingsError(
            f"{num_samples:,} samples of {num_chars:,} characters are too much for the memory: at most "
            f"{MAX_CHARS_OF_SAMPLES:,} characters in all; ask for fewer or shorter ones, or for one at a time"
        )


def generate_ids(
    model: Predictor,
    prefix_ids: TextIds,
    num_steps: int,
    sampling: SamplingSettings | None = None,
    *,
    num_samples: int = 1,
    precision: GenerationPrecision = "float32",
) -> Iterator[Ids]:
    """Yields the ids that follow a prefix, (samples, some steps) at a time; ``<unk>`` is never chosen.

    Arguments, and that the weights are finite, are checked when this is called.
    """
    sampling = SamplingSettings() if sampling is None else sampling
    check_type(SamplingSettings, sampling=sampling)
    sampler = Sampler(sampling, num_samples)
    check_choice("precision", precision, GenerationPrecision)
    check_weights(model)
    writer = model.make_generator(precision) if isinstance(model, GeneratingPredictor) else None
    if writer is None and precision != "float32":
        raise SettingsError(
            "it is for models whose hidden states lie between -1 and 1 (not the relu cell), without hooks or replaced "
            "parts, on a CPU, with charloom's native kernels (charloom info); generate with float32",
            setting="precision",
            value=precision,
        )
    # Here, as the writer is made, so that both know the same weights however late the first chunk is asked for.
    with predicting(model):
        ids = prefix_ids.to(model.device).repeat(num_samples, 1)
        logits, state = model(ids, model.begin_state(num_samples))
    last, forbidden = logits[-1], model.vocabulary.unknown_id
    _check_predictions(last)
    if writer is not None:
        return _written(writer, last, state, num_steps, forbidden, sampler)
    return _chosen(model, last, state, num_steps, forbidden, sampler)


def _check_predictions(logits: StepLogits) -> None:
    if not logits.amax(-1).isfinite().all():  # NaN comes through a maximum
        raise InputError("the model's predictions are not numbers: its weights are too large to compute with")


def _chosen(
    model: Predictor, logits: StepLogits, state: State, num_steps: int, forbidden: int | None, sampler: Sampler
) -> Iterator[Ids]:
    for written in range(1, num_steps + 1):
        # Not around the yield: a generator would leave the caller without gradients between two chunks.
        with predicting(model):
            if forbidden is not None:
                logits = logits.clone()  # the predictor may keep its own
                logits[:, forbidden] = -torch.inf
            _check_predictions(logits)
            chosen = sampler.choose(logits)
        yield chosen.unsqueeze(1)
        if written < num_steps:
            with predicting(model):
                logits, state = model.step(chosen, state)


def _written(
    writer: NativeGenerator, logits: StepLogits, state: State, num_steps: int, forbidden: int | None, sampler: Sampler
) -> Iterator[Ids]:
    """As ``_chosen``, in ever larger chunks: the first text is there at once, the rest fast."""
    with torch.inference_mode():  # copies, which the writer writes to
        logits, *parts = (
            part.clone(memory_format=torch.contiguous_format) for part in (logits, *state_to_tuple(state))
        )
    chunk, written = 1, 0
    while written < num_steps:
        chunk = min(2 * chunk, _MAX_CHUNK, num_steps - written)
        ids = writer.run(logits, tuple(parts), sampler.settings, forbidden, sampler.draws(chunk))
        _check_predictions(logits)
        written += chunk
        yield ids


def _prefix_ids(model: Predictor, prefix: str | bytes, num_chars: int, unknown: UnknownPolicy) -> TextIds:
    check_type(Predictor, model=model)
    check_type(TEXT, prefix=prefix)
    check_count("num_chars", num_chars)
    ids = model.vocabulary.encode(prefix, unknown)
    if not len(ids):
        raise UnknownCharacterError(
            "empty, or nothing of it is known: give at least one known character", setting="prefix", value=prefix
        )
    return ids


def _chunks(
    model: Predictor, prefix: AnyStr, prefix_ids: TextIds, ids: Iterable[list[int]], stop: AnyStr | None
) -> Iterator[AnyStr]:
    """Ids as text of the prefix's own type: the prefix, then chunk by chunk as the ids come."""
    if stop is not None and not (isinstance(stop, type(prefix)) and stop):
        raise SettingsError(
            f"it must be a {type(prefix).__name__}, as the prefix is, and not empty", setting="stop", value=stop
        )
    decode = model.vocabulary.decode
    start: Any = decode(prefix_ids)
    written: Any = (decode(chunk) for chunk in ids)
    if model.vocabulary.unit == "byte" and isinstance(prefix, str):
        start = start.decode("utf-8", "replace")
        written = codecs.iterdecode(written, "utf-8", "replace")
    return itertools.chain([start], written if stop is None else _before(stop, written))


def _before(stop: AnyStr, chunks: Iterable[AnyStr]) -> Iterator[AnyStr]:
    """The chunks up to ``stop``; what may be its beginning is held back until that is clear."""
    held = stop[:0]
    for chunk in chunks:
        held += chunk
        if (end := held.find(stop)) >= 0:
            held = held[:end]
            break
        begun = next(size for size in range(min(len(stop) - 1, len(held)), -1, -1) if held.endswith(stop[:size]))
        if len(held) > begun:
            yield held[: len(held) - begun]
            held = held[len(held) - begun :]
    if held:
        yield held
