"""Completions of prompts by a served model: text, log probabilities, and the reason of the end."""

import codecs
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from charloom.errors import CharloomError
from charloom.inference.generation import generate_ids
from charloom.inference.stop_texts import StopTexts
from charloom.models.language_model import LanguageModel
from charloom.models.predictor import predicting
from charloom.serving.requests import ApiError, CompletionRequest
from charloom.shapes import State

_CHUNK = 2048
"""Tokens of a prompt that are read at once."""


@dataclass(frozen=True)
class TokenScore:
    """The log probability of a token.

    Attributes:
        token: The token's text.
        logprob: Natural logarithm of its probability; None for the first token of a text, which nothing precedes.
        top: The most likely tokens at its place, with their log probabilities.
    """

    token: str
    logprob: float | None
    top: dict[str, float] | None


@dataclass(frozen=True)
class Part:
    """A part of one choice.

    Attributes:
        index: Index of the choice.
        text: The text.
        num_tokens: Number of generated tokens.
        scores: Scores of the tokens, if they were asked for.
        finish_reason: "stop" if a stop text occurred, "length" if the maximum number of tokens was reached; None if
            more parts follow.
    """

    index: int
    text: str
    num_tokens: int = 0
    scores: list[TokenScore] = field(default_factory=list)
    finish_reason: str | None = None


class ServedModel:
    """A model with the name under which it is served.

    Attributes:
        name: The name.
        model: The model.
        fingerprint: Hash of its weights, by which the models of different answers can be compared.
    """

    def __init__(self, name: str, model: LanguageModel) -> None:
        self.name = name
        self.model = model
        self._config, self._tensors = model.to_config()
        weights = hashlib.sha256()
        for tensor in self._tensors.values():
            # As bytes, since NumPy has no bfloat16.
            weights.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
        self.fingerprint = weights.hexdigest()[:16]

    @property
    def line_end(self) -> str | None:
        """Line end of the training text; None for a vocabulary of bytes, which contains both whatever the text was."""
        if self.model.vocabulary.unit == "byte":
            return None
        return "\r\n" if "\r" in self.model.vocabulary.tokens else "\n"

    def encode(self, prompt: str | Sequence[int], request: CompletionRequest) -> list[int]:
        """Returns the token ids of a prompt. Raises ApiError for a prompt that the model cannot read."""
        vocabulary = self.model.vocabulary
        if not isinstance(prompt, str):
            if not all(0 <= token < len(vocabulary) for token in prompt):
                raise ApiError(f"token ids must be from 0 to {len(vocabulary) - 1}", field="prompt")
            return list(prompt)
        try:
            ids = vocabulary.encode(prompt, request.unknown).tolist()
        except CharloomError as error:
            raise ApiError(f"prompt: {error}", field="prompt") from None
        if not ids:
            raise ApiError("the prompt has no character of the model's vocabulary", field="prompt")
        return ids

    def check_bias(self, bias: Mapping[int, float]) -> None:
        """Raises ApiError for the bias of a token that the model cannot generate."""
        if bias and max(bias) >= len(self.model.vocabulary):
            raise ApiError(f"logit_bias: {max(bias)} is not a token id of this model", field="logit_bias")
        unknown = self.model.vocabulary.unknown_id
        if unknown in bias:
            raise ApiError(f"logit_bias: {unknown} is <unk>, which is never generated: omit it", field="logit_bias")

    def with_bias(self, bias: Mapping[int, float]) -> LanguageModel:
        """Returns a model that shares all weights except for the output layer's bias, to which numbers are added."""
        if not bias:
            return self.model
        added = torch.zeros_like(self._tensors["output.bias"])
        added[list(bias)] = torch.tensor([*bias.values()], dtype=added.dtype)
        tensors = self._tensors | {"output.bias": self._tensors["output.bias"] + added}
        return LanguageModel.from_config(self._config, tensors)

    def describe_token(self, token: int) -> str:
        """Returns the text of a token in lists of log probabilities: for a byte, an escape unless it is ASCII."""
        found = self.model.vocabulary.tokens[token]
        return found if isinstance(found, str) else f"bytes:\\x{found[0]:02x}" if found[0] > 126 else found.decode()

    def complete(self, request: CompletionRequest, ids: list[int], first_index: int) -> Iterator[Part]:
        """Yields the parts of the choices for one prompt.

        Args:
            request: The request.
            ids: Token ids of the prompt.
            first_index: Index of the first choice.
        """
        reader = _LogprobReader(self, request.num_logprobs) if request.num_logprobs is not None else None
        if reader is not None:
            prompt_scores = reader.read_prompt(ids, keep=request.echo)
        choices = [
            _Choice(self, request, first_index + i, reader.copy() if reader else None)
            for i in range(request.num_choices)
        ]
        if request.echo:
            text = self.model.vocabulary.decode(ids)
            shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
            for choice in choices:
                yield Part(choice.index, shown, scores=prompt_scores if reader else [])
        generated: Iterator[Tensor] = iter(())
        if request.num_tokens:
            model = self.with_bias(request.bias)
            generated = generate_ids(
                model, torch.tensor(ids), request.num_tokens, request.sampling, num_samples=request.num_choices
            )
        for chunk in generated:
            for choice, row in zip(choices, chunk.tolist(), strict=True):
                if not choice.is_finished:
                    yield choice.feed(row)
            if all(choice.is_finished for choice in choices):
                return
        for choice in choices:
            if not choice.is_finished:
                yield choice.finish()


class _Choice:
    """One completion while it is generated."""

    def __init__(
        self, served: ServedModel, request: CompletionRequest, index: int, reader: "_LogprobReader | None"
    ) -> None:
        self.index = index
        self.is_finished = False
        self._vocabulary = served.model.vocabulary
        self._reader = reader
        # Bytes are searched as bytes: a chunk may end within a character.
        self._is_bytes = self._vocabulary.unit == "byte"
        stops = [stop.encode() if self._is_bytes else stop for stop in request.stops]
        self._stops: StopTexts[Any] = StopTexts(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held: list[int] = []

    def feed(self, ids: list[int]) -> Part:
        """Returns the part for the next tokens."""
        passed = self._stops.feed(self._vocabulary.decode(ids))
        self._held += ids
        self.is_finished = self._stops.found
        return self._make_part(passed, "stop" if self.is_finished else None)

    def finish(self) -> Part:
        """Returns the last part, of a completion that no stop text has ended."""
        self.is_finished = True
        return self._make_part(self._stops.finish() or (b"" if self._is_bytes else ""), "length")

    def _make_part(self, units: Any, finish_reason: str | None) -> Part:
        # A token is a unit: <unk>, the only exception, is never generated.
        tokens, self._held = self._held[: len(units)], self._held[len(units) :]
        text = self._decoder.decode(units, final=finish_reason is not None) if self._is_bytes else units
        scores = self._reader.read(tokens) if self._reader is not None else []
        return Part(self.index, text, len(tokens), scores, finish_reason)


class _LogprobReader:
    """Reads tokens one after the other, and returns their log probabilities, without bias and temperature."""

    def __init__(self, served: ServedModel, num_top: int) -> None:
        self._served = served
        self._num_top = num_top
        self._state: State | None = None
        self._next: Tensor | None = None  # log probabilities of the next token, (vocabulary,)

    def copy(self) -> "_LogprobReader":
        """Returns a reader that continues from here."""
        other = _LogprobReader(self._served, self._num_top)
        other._state, other._next = self._state, self._next
        return other

    def read_prompt(self, ids: list[int], *, keep: bool) -> list[TokenScore]:
        """Reads a prompt, and returns its scores if they are to be kept."""
        scores: list[TokenScore] = []
        for start in range(0, len(ids), _CHUNK):
            found = self.read(ids[start : start + _CHUNK])
            scores += found if keep else []
        return scores

    def read(self, ids: list[int]) -> list[TokenScore]:
        """Reads the next tokens, and returns their scores."""
        if not ids:
            return []
        model = self._served.model
        with predicting(model):
            state = model.begin_state(1) if self._state is None else self._state
            logits, self._state = model(torch.tensor(ids)[None], state)
            logprobs = torch.log_softmax(logits[:, 0].double(), dim=-1)
        before = logprobs[:-1] if self._next is None else torch.cat([self._next[None], logprobs[:-1]])
        first_is_scored = self._next is not None
        self._next = logprobs[-1]
        scored = ids if first_is_scored else ids[1:]
        values = before[torch.arange(len(scored)), torch.tensor(scored, dtype=torch.int64)].tolist()
        top = before.topk(min(max(1, self._num_top), before.shape[-1]), dim=-1)
        describe = self._served.describe_token
        scores = [] if first_is_scored else [TokenScore(describe(ids[0]), None, None)]
        for token, value, row, places in zip(scored, values, top.values.tolist(), top.indices.tolist(), strict=True):
            likely = dict(zip(map(describe, places), row, strict=True)) if self._num_top else {}
            # As in OpenAI's API, the token itself is always among them.
            scores.append(TokenScore(describe(token), value, likely | {describe(token): value} if likely else None))
        return scores
