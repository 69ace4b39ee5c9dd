"""Generation of text from a prefix."""

import codecs
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, AnyStr

import torch
from torch import Tensor

from charloom.errors import InputError, SettingsError, UnknownCharacterError
from charloom.inference.sampling import Sampler
from charloom.inference.stop_texts import StopTexts
from charloom.models.predictor import TRAIN_AGAIN, GeneratingPredictor, Predictor, check_weights, predicting
from charloom.recurrence.native_generator import NativeGenerator
from charloom.recurrence.state import state_to_tuple
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.limits import check_choice, check_count
from charloom.settings.sampling import GenerationPrecision, SamplingSettings
from charloom.shapes import Ids, State, StepLogits, TextIds
from charloom_codec.arguments import TEXT, check_type

MAX_SAMPLES = 10_000
MAX_CHARS_OF_SAMPLES = 20_000_000
"""Maximum for all samples together: they stay in memory until they are complete, a few dozen bytes per character."""
_MAX_CHUNK = 256
"""Maximum number of tokens per native call: a hundredth of a second, so that Ctrl-C and output are not delayed."""


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
    """Returns the prefix with ``num_chars`` generated tokens after it, or fewer if ``stop`` occurs.

    ``stream`` takes the same arguments and yields the text while it is generated.

    Args:
        model: A LanguageModel, or any other ``Predictor``.
        prefix: Text to continue; not empty after normalization and the omission of characters that ``unknown`` skips.
            It is normalized like the model's training text. Bytes, for byte models only, give bytes; for a str, the
            output of a byte model is decoded as UTF-8, with replacement characters for invalid bytes.
        num_chars: Maximum number of tokens to generate; 0 or more.
        sampling: Sampling settings; greedy choice if None.
        stop: Generation ends before the first occurrence of this text after the prefix; it is not returned. It
            must be of the same type as the prefix, and not empty.
        unknown: Treatment of characters of the prefix that are out of vocabulary.
        precision: Precision of the weights: float32, or int8, which is faster and slightly less accurate. int8 requires
            the native kernels, and a model on the CPU without hooks.

    Returns:
        The prefix as the model read it (normalized, without skipped characters or with ``<unk>``), then the new text.

    Raises:
        UnknownCharacterError: The prefix has characters that are out of vocabulary and ``unknown`` is refuse; or it is
            empty, perhaps only after such characters are skipped.
        SettingsError: ``num_chars``, ``stop`` or ``unknown`` is invalid, or the model does not support ``precision``.
        InputError: An argument is of the wrong type, or the model's weights or predictions have NaN or infinite values.
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
    """Returns an iterator over the text that ``generate`` returns: the prefix, then each generated chunk.

    Arguments are validated, and the prefix is read, when this is called. Do not change the model before the last chunk:
    without native kernels, each chunk is computed with the model's weights at that time.

    Raises:
        UnknownCharacterError: As for ``generate``.
        SettingsError: As for ``generate``.
        InputError: As for ``generate``; the iterator raises it, too, if later predictions are not finite.
    """
    prefix_ids = _encode_prefix(model, prefix, num_chars, unknown)
    chunks = generate_ids(model, prefix_ids, num_chars, sampling, precision=precision)
    return _decode_and_cut(model, prefix, prefix_ids, (chunk[0].tolist() for chunk in chunks), stop)


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
    """Generates several continuations of one prefix side by side; sample 0 is the result of ``generate``.

    Returns a text for each sample. The arguments other than ``num_samples`` are those of ``generate``, and so are the
    errors. SettingsError is also raised for more than 10,000 samples or, for two or more, more than 20 million
    tokens in all.
    """
    check_samples(num_samples, num_chars)
    prefix_ids = _encode_prefix(model, prefix, num_chars, unknown)
    chunks = list(generate_ids(model, prefix_ids, num_chars, sampling, num_samples=num_samples, precision=precision))
    samples = torch.cat(chunks, dim=1) if chunks else torch.empty(num_samples, 0, dtype=torch.int64, device="cpu")
    return [prefix[:0].join(_decode_and_cut(model, prefix, prefix_ids, [ids.tolist()], stop)) for ids in samples]


def check_samples(num_samples: int, num_chars: int) -> None:
    """Raises SettingsError if the samples are too many, or need too much memory together.

    One sample may have any length.
    """
    check_count("num_samples", num_samples, minimum=1)
    check_count("num_chars", num_chars)
    if num_samples > MAX_SAMPLES:
        raise SettingsError(
            f"at most {MAX_SAMPLES:,} samples can be generated at once; run again with a different seed for more",
            setting="num_samples",
            value=num_samples,
        )
    # One sample has no limit: it can be streamed.
    if num_samples > 1 and num_samples * num_chars > MAX_CHARS_OF_SAMPLES:
        raise SettingsError(
            f"{num_samples:,} samples of {num_chars:,} characters need too much memory: the limit is "
            f"{MAX_CHARS_OF_SAMPLES:,} characters in total; generate fewer or shorter samples, or one at a time"
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
    """Returns an iterator over the ids that follow a prefix, (samples, some steps) at a time, without ``<unk>``.

    Arguments are validated, and the prefix is read, when this is called.

    Args:
        model: Model with finite weights.
        prefix_ids: Ids to continue, at least one.
        num_steps: Number of ids to generate for each sample; 0 or more.
        sampling: Sampling settings; greedy choice if None.
        num_samples: Number of samples.
        precision: Precision of the weights.

    Raises:
        SettingsError: A number or ``precision`` is invalid, or the model does not support the precision.
        InputError: Another argument is invalid, or weights or predictions are not finite. The iterator raises it for
            later predictions.
    """
    check_type(Predictor, model=model)
    check_type(Tensor, prefix_ids=prefix_ids)
    if prefix_ids.ndim != 1 or not len(prefix_ids):
        raise InputError(
            f"must be a 1-D tensor of at least one id, not of shape {(*prefix_ids.shape,)}", setting="prefix_ids"
        )
    check_count("num_steps", num_steps)
    check_count("num_samples", num_samples, minimum=1)
    sampling = SamplingSettings() if sampling is None else sampling
    check_type(SamplingSettings, sampling=sampling)
    # This function is not a generator itself, so that errors occur at the call and not at the first chunk.
    sampler = Sampler(sampling, num_samples)
    check_choice("precision", precision, GenerationPrecision)
    check_weights(model)
    generator = model.make_generator(precision) if isinstance(model, GeneratingPredictor) else None
    # An error, not a fallback: int8 changes the text, so that the same command must not depend on the machine.
    if generator is None and precision != "float32":
        raise SettingsError(
            "it requires a model without hooks or replaced parts, on a CPU with charloom's native kernels (see "
            "charloom info); use float32",
            setting="precision",
            value=precision,
        )
    # The prefix is read here, next to the packing of the weights, so that both use the same weights, no matter when the
    # caller asks for the first chunk.
    with predicting(model):
        # Read once per sample, since the state that the samples continue from needs a row for each.
        ids = prefix_ids.to(model.device).repeat(num_samples, 1)
        logits, state = model(ids, model.begin_state(num_samples))
    last, forbidden = logits[-1], model.vocabulary.unknown_id
    _check_predictions(last)
    if generator is not None:
        return _generate_natively(generator, last, state, num_steps, forbidden, sampler)
    return _generate_stepwise(model, last, state, num_steps, forbidden, sampler)


def _check_predictions(logits: StepLogits) -> None:
    # The maximum alone: single tokens may have -inf, and NaN propagates through a maximum.
    if not logits.amax(-1).isfinite().all():
        raise InputError(
            "the model's predictions are not finite: its weights are too large to compute with", hint=TRAIN_AGAIN
        )


def _generate_stepwise(
    model: Predictor, logits: StepLogits, state: State, num_steps: int, forbidden: int | None, sampler: Sampler
) -> Iterator[Ids]:
    for done in range(1, num_steps + 1):
        # Not around the yield: the context would otherwise apply to the caller's code between two chunks.
        with predicting(model):
            if forbidden is not None:
                logits = logits.clone()  # the predictor may return a tensor that it uses again
                logits[:, forbidden] = -torch.inf
            _check_predictions(logits)
            chosen = sampler.choose(logits)
        yield chosen.unsqueeze(1)
        if done < num_steps:  # the last token need not be read
            with predicting(model):
                logits, state = model.step(chosen, state)


def _generate_natively(
    generator: NativeGenerator,
    logits: StepLogits,
    state: State,
    num_steps: int,
    forbidden: int | None,
    sampler: Sampler,
) -> Iterator[Ids]:
    with torch.inference_mode():  # copies, because the generator overwrites logits and state
        logits, *parts = (
            part.clone(memory_format=torch.contiguous_format) for part in (logits, *state_to_tuple(state))
        )
    # Chunks start small and double: the first text appears at once, and the rest takes few calls.
    chunk, done = 1, 0
    while done < num_steps:
        chunk = min(2 * chunk, _MAX_CHUNK, num_steps - done)
        ids = generator.run(logits, tuple(parts), sampler.settings, forbidden, sampler.draws(chunk))
        _check_predictions(logits)
        done += chunk
        yield ids


def _encode_prefix(model: Predictor, prefix: str | bytes, num_chars: int, unknown: UnknownPolicy) -> TextIds:
    """Encodes the prefix after validating the arguments of ``generate``, ``num_chars`` included."""
    check_type(Predictor, model=model)
    check_type(TEXT, prefix=prefix)
    check_count("num_chars", num_chars)
    # The ids are checked, not the prefix: normalization and skipping may leave nothing of it.
    ids = model.vocabulary.encode(prefix, unknown)
    if not len(ids):
        raise UnknownCharacterError(
            "it must contain at least one character of the model's vocabulary",
            setting="prefix",
            value=prefix,
        )
    return ids


def _decode_and_cut(
    model: Predictor, prefix: AnyStr, prefix_ids: TextIds, ids: Iterable[list[int]], stop: AnyStr | None
) -> Iterator[AnyStr]:
    """Decodes the prefix and each chunk of ids to the prefix's type, and ends before ``stop``.

    Raises SettingsError for a stop text that is empty or not of the prefix's type.
    """
    has_type = isinstance(stop, type(prefix))
    if stop is not None and not (has_type and stop):
        problem = "it must not be empty" if has_type else f"it must be of type {type(prefix).__name__}, like the prefix"
        raise SettingsError(problem, setting="stop", value=stop)
    decode = model.vocabulary.decode
    start: Any = decode(prefix_ids)
    generated: Any = (decode(chunk) for chunk in ids)
    if model.vocabulary.unit == "byte" and isinstance(prefix, str):
        start = start.decode("utf-8", "replace")
        # Incrementally: a chunk can end within the bytes of a character.
        generated = codecs.iterdecode(generated, "utf-8", "replace")
    return itertools.chain([start], generated if stop is None else _cut_at(stop, generated))


def _cut_at(stop: AnyStr, chunks: Iterable[AnyStr]) -> Iterator[AnyStr]:
    """Yields the text before ``stop``; holds text back while it may be the start of ``stop``."""
    stops = StopTexts([stop])
    for chunk in chunks:
        if passed := stops.feed(chunk):
            yield passed
        if stops.found:
            return
    if held := stops.finish():
        yield held
