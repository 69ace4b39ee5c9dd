"""Requests of the API: the fields of OpenAI's completions, validated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from charloom.errors import CharloomError
from charloom.settings.corpus import UnknownPolicy
from charloom.settings.sampling import SamplingSettings

MAX_PROMPT_TOKENS = 1_000_000
MAX_CHOICES = 128
_MAX_PROMPTS = 128
_MAX_STOPS = 4
_MAX_LOGPROBS = 20
_MAX_BIAS = 100.0
_IGNORED = {"user", "stream_options", "store", "metadata"}
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "suffix": (None, ""),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
}
"""Fields of OpenAI's API that are accepted only with the values that change nothing."""


class ApiError(Exception):
    """A request that cannot be answered.

    Attributes:
        message: Description of the problem, and the remedy.
        status: Status code of HTTP.
        field: Name of the field that is wrong; None if it is none of them.
    """

    def __init__(self, message: str, *, status: int = 400, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.field = field


@dataclass(frozen=True)
class CompletionRequest:
    """A request for completions.

    Attributes:
        model: Name of the model; None for the only one.
        prompts: Texts, or sequences of token ids.
        num_tokens: Maximum number of tokens to generate for each prompt.
        num_choices: Number of completions of each prompt.
        sampling: Sampling settings.
        stops: Texts at which a completion ends.
        stream: True for server-sent events.
        num_logprobs: Number of most likely tokens whose log probabilities are returned; None for no log probabilities.
        echo: True to return the prompt, too.
        bias: Numbers that are added to the logits of tokens, by id.
        unknown: Treatment of characters of a prompt that are out of vocabulary.
    """

    model: str | None
    prompts: Sequence[str | Sequence[int]]
    num_tokens: int
    num_choices: int
    sampling: SamplingSettings
    stops: Sequence[str]
    stream: bool
    num_logprobs: int | None
    echo: bool
    bias: Mapping[int, float]
    unknown: UnknownPolicy


def read_completion_request(body: object, max_tokens: int) -> CompletionRequest:
    """Returns a request from the JSON value of its body. Raises ApiError if it is not valid.

    Args:
        body: The JSON value.
        max_tokens: Maximum number of tokens to generate.
    """
    fields = _Fields(body)
    num_choices = fields.integer("n", 1, 1, MAX_CHOICES)
    best_of = fields.integer("best_of", num_choices, 1, MAX_CHOICES)
    if best_of != num_choices:
        raise ApiError("best_of is not supported: omit it, or set it to n", field="best_of")
    for name, neutral in _NEUTRAL.items():
        if fields.take(name) not in neutral:
            raise ApiError(f"{name} is not supported: omit it", field=name)
    request = CompletionRequest(
        model=fields.text("model"),
        prompts=_read_prompts(fields.take("prompt")),
        num_tokens=fields.integer("max_tokens", 16, 0, max_tokens),
        num_choices=num_choices,
        sampling=_read_sampling(fields),
        stops=_read_stops(fields.take("stop")),
        stream=fields.flag("stream"),
        num_logprobs=fields.integer("logprobs", None, 0, _MAX_LOGPROBS),
        echo=fields.flag("echo"),
        bias=_read_bias(fields.take("logit_bias")),
        unknown=fields.choice("unknown", "refuse", get_args(UnknownPolicy)),
    )
    fields.refuse_others()
    return request


class _Fields:
    """The fields of a JSON object, each taken once."""

    def __init__(self, body: object) -> None:
        if not isinstance(body, dict):
            raise ApiError("the body must be a JSON object")
        self._rest: dict[str, Any] = dict(body)

    def take(self, name: str) -> Any:
        """Returns the value of a field; None if it is absent."""
        return self._rest.pop(name, None)

    def integer(self, name: str, default: int | None, minimum: int, maximum: int) -> Any:
        """Returns an integer within limits, or the default."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ApiError(f"{name} must be an integer from {minimum} to {maximum:,}", field=name)
        return value

    def number(self, name: str) -> float | None:
        """Returns a number; None if the field is absent."""
        value = self.take(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ApiError(f"{name} must be a number", field=name)
        return cast("float | None", value)

    def flag(self, name: str) -> bool:
        """Returns true or false; False if the field is absent."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise ApiError(f"{name} must be true or false", field=name)
        return bool(value)

    def text(self, name: str) -> str | None:
        """Returns a text; None if the field is absent."""
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            raise ApiError(f"{name} must be a string", field=name)
        return value

    def choice(self, name: str, default: str, choices: Sequence[str]) -> Any:
        """Returns one of several texts, or the default."""
        value = self.text(name) or default
        if value not in choices:
            raise ApiError(f"{name} must be one of {', '.join(choices)}", field=name)
        return value

    def refuse_others(self) -> None:
        """Raises ApiError for a field that was not taken: a misspelled option would otherwise be ignored."""
        for name in self._rest:
            if name not in _IGNORED:
                raise ApiError(f"{name:.50} is not a field of this request: omit it", field=name[:50])


def _read_prompts(value: object) -> Sequence[str | Sequence[int]]:
    prompts: Any = [value] if isinstance(value, str) else value
    if _is_ids(prompts):
        prompts = [prompts]
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= _MAX_PROMPTS:
        problem = f"prompt must be a string, a list of token ids, or a list of up to {_MAX_PROMPTS} of these"
        raise ApiError(problem, field="prompt")
    for prompt in prompts:
        if not isinstance(prompt, str) and not _is_ids(prompt):
            raise ApiError("each prompt must be a string, or a list of token ids", field="prompt")
        if not prompt:
            raise ApiError("the prompt is empty: it must have at least one character", field="prompt")
        if len(prompt) > MAX_PROMPT_TOKENS:
            raise ApiError(f"a prompt may have at most {MAX_PROMPT_TOKENS:,} tokens", field="prompt")
    return cast("Sequence[str | Sequence[int]]", prompts)


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _read_sampling(fields: _Fields) -> SamplingSettings:
    temperature, top_p, top_k = fields.number("temperature"), fields.number("top_p"), fields.take("top_k")
    # 1 is OpenAI's default; the settings' default is greedy choice.
    chosen: dict[str, Any] = {"temperature": 1.0 if temperature is None else temperature, "seed": fields.take("seed")}
    try:
        return SamplingSettings(**chosen, top_p=None if top_p == 1 else top_p, top_k=top_k)
    except CharloomError as error:
        raise ApiError(str(error)) from None


def _read_stops(value: object) -> Sequence[str]:
    stops: Any = [] if value is None else [value] if isinstance(value, str) else value
    if (
        not isinstance(stops, list)
        or len(stops) > _MAX_STOPS
        or not all(isinstance(stop, str) and stop for stop in stops)
    ):
        raise ApiError(f"stop must be a string, or a list of up to {_MAX_STOPS}, none of them empty", field="stop")
    return cast("Sequence[str]", stops)


def _read_bias(value: object) -> Mapping[int, float]:
    if value is None:
        return {}
    problem = f"logit_bias must map token ids to numbers from {-_MAX_BIAS:g} to {_MAX_BIAS:g}"
    if not isinstance(value, dict):
        raise ApiError(problem, field="logit_bias")
    bias = {}
    for key, number in value.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not (key.isascii() and key.isdecimal() and len(key) < 10 and is_number and abs(number) <= _MAX_BIAS):
            raise ApiError(problem, field="logit_bias")
        bias[int(key)] = float(number)
    return bias
