"""Requests for completions: OpenAI's fields, and errors for everything else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charloom import SamplingSettings
from charloom.serving.requests import ApiError, CompletionRequest, read_completion_request

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = [
    *("model", "prompt", "max_tokens", "n", "temperature", "top_p", "top_k", "seed", "stop", "stream", "logprobs"),
    *("echo", "logit_bias", "unknown", "suffix", "best_of", "presence_penalty", "user"),
]


def _read(**fields: Any) -> CompletionRequest:
    return read_completion_request({"prompt": "a"} | fields, 100)


def test_defaults_are_those_of_openai() -> None:
    found = _read()
    assert found == CompletionRequest(
        model=None,
        prompts=["a"],
        num_tokens=16,
        num_choices=1,
        sampling=SamplingSettings(temperature=1.0),
        stops=[],
        stream=False,
        num_logprobs=None,
        echo=False,
        bias={},
        unknown="refuse",
    )


def test_all_fields() -> None:
    unused = {"user": "x", "suffix": None, "presence_penalty": 0, "frequency_penalty": 0.0, "best_of": 2}
    sampling = {"temperature": 0, "top_p": 1, "top_k": 3, "seed": 5}
    found = _read(
        model="m",
        prompt=[[1, 2], "b"],
        max_tokens=0,
        n=2,
        stop=["a", "b"],
        stream=True,
        logprobs=0,
        echo=True,
        logit_bias={"3": -100, "0": 1.5},
        unknown="skip",
        **sampling,
        **unused,
    )
    assert found.prompts == [[1, 2], "b"]
    assert found.sampling == SamplingSettings(temperature=0, top_k=3, seed=5)
    assert found.sampling.greedy
    assert (found.num_tokens, found.num_choices, found.num_logprobs) == (0, 2, 0)
    assert found.bias == {3: -100.0, 0: 1.5}
    assert _read(prompt=[1, 2]).prompts == [[1, 2]]
    assert _read(stop="ab").stops == ["ab"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": None}, "prompt must be a string"),
        ({"prompt": []}, "prompt must be a string"),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": ["a", ""]}, "the prompt is empty"),
        ({"prompt": ["a", 1]}, "each prompt must be"),
        ({"prompt": [True]}, "each prompt must be"),
        ({"prompt": ["a"] * 200}, "prompt must be a string"),
        ({"prompt": "a" * 1_000_001}, "at most 1,000,000 tokens"),
        ({"max_tokens": 101}, "max_tokens must be an integer from 0 to 100"),
        ({"max_tokens": 1.0}, "max_tokens must be an integer"),
        ({"n": 0}, "n must be an integer from 1"),
        ({"n": True}, "n must be an integer"),
        ({"best_of": 2}, "best_of is not supported"),
        ({"suffix": "x"}, "suffix is not supported"),
        ({"presence_penalty": 0.5}, "presence_penalty is not supported"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": "1"}, "temperature must be a number"),
        ({"top_p": 0}, "top_p is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**70}, "seed is"),
        ({"stop": ""}, "stop must be a string"),
        ({"stop": ["a"] * 5}, "stop must be a string"),
        ({"stream": 1}, "stream must be true or false"),
        ({"logprobs": 21}, "logprobs must be an integer from 0 to 20"),
        ({"logit_bias": {"a": 1}}, "logit_bias must map"),
        ({"logit_bias": {"1": 101}}, "logit_bias must map"),
        ({"logit_bias": {"1": float("nan")}}, "logit_bias must map"),
        ({"logit_bias": [1]}, "logit_bias must map"),
        ({"unknown": "no"}, "unknown must be one of refuse, unk, skip"),
        ({"temprature": 1}, "temprature is not a field of this request"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        _read(**fields)
    assert message in caught.value.message
    assert caught.value.status == 400


@given(st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=4), _JSON, max_size=6) | _JSON)
def test_any_json_is_read_or_refused(body: object) -> None:
    try:
        found = read_completion_request(body, 100)
    except ApiError as error:
        assert error.status == 400  # noqa: PT017 # any other error fails the test
    else:
        assert 0 <= found.num_tokens <= 100
