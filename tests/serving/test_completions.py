"""Completions: the text, the stops and the log probabilities of the library."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import charloom
from charloom import LanguageModel, ModelSettings, SamplingSettings, Vocabulary
from charloom.serving.completions import Part, ServedModel
from charloom.serving.requests import ApiError, read_completion_request

_TEXT = "The quick brown fox\njumps over the lazy dog; \u201cno\u201d"


def _make_model(vocabulary: Vocabulary | None = None, **options: Any) -> LanguageModel:
    chosen = replace(ModelSettings(cell="gru", hidden_size=20, embedding_size=6), **options)
    model = charloom.build_model(vocabulary or Vocabulary.of_text(_TEXT), chosen, seed=1).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0).add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)) * 0.3)
    return model


_MODEL = _make_model()
_SERVED = ServedModel("m", _MODEL)


def _complete(served: ServedModel = _SERVED, **fields: Any) -> list[Part]:
    request = read_completion_request({"prompt": "The ", "max_tokens": 60} | fields, 1000)
    (prompt,) = request.prompts
    return [*served.complete(request, served.encode(prompt, request), 0)]


def _join(parts: list[Part], index: int = 0) -> str:
    return "".join(part.text for part in parts if part.index == index)


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"seed": 3}, {"seed": 4, "temperature": 0.5, "top_p": 0.8}])
def test_the_text_of_generate(fields: dict[str, Any]) -> None:
    sampling = replace(SamplingSettings(temperature=1.0), **fields)
    parts = _complete(**fields)
    assert "The " + _join(parts) == charloom.generate(_MODEL, "The ", 60, sampling)
    assert [part.finish_reason for part in parts] == [None] * (len(parts) - 1) + ["length"]
    assert sum(part.num_tokens for part in parts) == 60
    expected = charloom.generate_samples(_MODEL, "The ", 60, sampling, num_samples=3)
    parts = _complete(**fields, n=3, echo=True)
    assert [_join(parts, index) for index in range(3)] == expected


@settings(max_examples=40)
@given(st.integers(0, 50), st.integers(1, 4), st.text(_TEXT, min_size=1, max_size=2))
def test_stops(start: int, length: int, other: str) -> None:
    """The completion ends before the text that is complete first, in any division into chunks."""
    whole = _join(_complete(seed=3))
    stops = [whole[start : start + length], other]
    found = _complete(seed=3, stop=stops, logprobs=0)
    _, end = min((whole.find(one) + len(one), whole.find(one)) for one in stops if one in whole)
    assert _join(found) == whole[:end]
    assert found[-1].finish_reason == "stop"
    assert "".join(score.token for part in found for score in part.scores) == whole[:end]


def _scores(parts: list[Part]) -> Iterator[Any]:
    return (score for part in parts for score in part.scores)


def test_log_probabilities() -> None:
    """Prompt and completion are scored in one pass, as evaluate does; without echo, the completion alone."""
    text = "The " + _join(_complete(seed=3))
    _, expected = charloom.evaluate_chunks(_MODEL, charloom.split_chars(text))
    found = [*_scores(_complete(seed=3, logprobs=2, echo=True))]
    assert "".join(score.token for score in found) == text
    assert found[0].logprob is found[0].top is None
    np.testing.assert_allclose([-score.logprob for score in found[1:]], [e.nats for e in expected[1:]], atol=1e-4)
    for score in found[1:]:
        assert score.top[score.token] == score.logprob
        assert 2 <= len(score.top) <= 3
        assert math.fsum(map(math.exp, score.top.values())) <= 1 + 1e-9
    alone = [*_scores(_complete(seed=3, logprobs=2))]
    np.testing.assert_allclose([s.logprob for s in alone], [s.logprob for s in found[4:]], atol=1e-4)
    # Greedy choice takes the most likely token.
    assert all(score.logprob == max(score.top.values()) for score in _scores(_complete(temperature=0, logprobs=1)))
    assert [*_scores(_complete(max_tokens=0, echo=True, logprobs=0))][1].top is None


def test_bias() -> None:
    """100 makes a token certain, -100 impossible; the model itself is unchanged."""
    token = _MODEL.vocabulary.tokens.index("z")
    assert _join(_complete(logit_bias={str(token): 100}, max_tokens=5)) == "zzzzz"
    greedy = _join(_complete(temperature=0))
    banned = _MODEL.vocabulary.tokens.index(greedy[0])
    assert greedy[0] not in _join(_complete(temperature=0, logit_bias={str(banned): -100}))
    assert _join(_complete(temperature=0)) == greedy
    with pytest.raises(ApiError, match="not a token id"):
        _SERVED.check_bias({1000: 1.0})
    with pytest.raises(ApiError, match="0 is <unk>, which is never generated"):
        _SERVED.check_bias({0: 1.0})
    _SERVED.check_bias({token: 1.0})
    ServedModel("b", _make_model(Vocabulary())).check_bias({0: 1.0})  # a byte
    tied = ServedModel("t", _make_model(embedding_size=20, tied_output=True))
    assert _join(_complete(tied, logit_bias={str(token): 100}, max_tokens=5)) == "zzzzz"


def test_fingerprints() -> None:
    assert ServedModel("other", _MODEL).fingerprint == _SERVED.fingerprint
    changed = _make_model()
    with torch.no_grad():
        changed.output.bias[0] += 1
    assert ServedModel("m", changed).fingerprint != _SERVED.fingerprint
    assert len(ServedModel("m", _make_model().to(torch.bfloat16)).fingerprint) == 16


def test_bytes() -> None:
    """A character may be divided between chunks, and a stop text may not be ASCII."""
    served = ServedModel("b", _make_model(Vocabulary()))
    expected = charloom.generate(served.model, "The é", 200, SamplingSettings(temperature=1.0, seed=2))
    assert _join(_complete(served, prompt="The é", seed=2, max_tokens=200, echo=True)) == expected
    euro = "\u20ac".encode()
    biased = {str(byte): 100 - place for place, byte in enumerate(euro)}
    found = _complete(served, logit_bias=biased, temperature=0, max_tokens=9, stop="\u20ac", logprobs=1)
    assert found[-1].finish_reason in ("stop", "length")
    assert {score.token for score in _scores(found)} <= {"bytes:\\xe2"}


def test_prompts() -> None:
    ids = _MODEL.vocabulary.encode("The ").tolist()
    assert _join(_complete(prompt=ids, seed=3)) == _join(_complete(seed=3))
    for prompt, message in {"Q": "not in the model's vocabulary", "\u2603": "U\\+2603"}.items():
        with pytest.raises(ApiError, match=message):
            _complete(prompt=prompt)
    with pytest.raises(ApiError, match="token ids must be from 0 to"):
        _complete(prompt=[10_000])
    with pytest.raises(ApiError, match="no character of the model's vocabulary"):
        _complete(prompt="QQ", unknown="skip")
    assert _join(_complete(prompt="QThe ", unknown="skip", seed=3)) == _join(_complete(seed=3))
    assert _join(_complete(prompt="QThe", unknown="unk", echo=True)).startswith("<unk>The")
