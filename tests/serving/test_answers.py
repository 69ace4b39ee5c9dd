"""The JSON of answers: events joined are the whole answer."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from charloom import CharloomError
from charloom.serving.answers import Answer, CollectedChoice
from charloom.serving.completions import Part, TokenScore
from charloom.serving.requests import read_completion_request

_PARTS = [
    Part(0, "ab", 0, [TokenScore("a", None, None), TokenScore("b", -1.0, {"b": -1.0})]),
    Part(1, "ab", 0, [TokenScore("a", None, None), TokenScore("b", -1.0, {"b": -1.0})]),
    Part(0, "c", 1, [TokenScore("c", -0.5, {"c": -0.5})]),
    Part(1, "", 1, [TokenScore("d", -2.0, {"c": -0.1, "d": -2.0})], "stop"),
    Part(0, "e", 1, [TokenScore("e", -3.0, {"e": -3.0})], "length"),
]
_WANTED = read_completion_request({"prompt": "ab", "logprobs": 1, "n": 2}, 10)


async def _stream(error: CharloomError | None = None) -> list[str]:
    async def rest() -> AsyncIterator[Part]:
        for part in _PARTS[1:]:
            yield part
        if error is not None:
            raise error

    return [event async for event in Answer("m", "f0", 2).stream(_PARTS[0], rest(), _WANTED)]


def test_events_are_the_whole() -> None:
    choices = {0: CollectedChoice(), 1: CollectedChoice()}
    for part in _PARTS:
        choices[part.index].add(part)
    whole = Answer("m", "f0", 2).make_whole(choices, _WANTED)
    assert whole["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    *events, last = asyncio.run(_stream())
    assert last == "data: [DONE]\n\n"
    parsed = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {event["id"] for event in parsed} == {parsed[0]["id"]}
    assert {event["system_fingerprint"] for event in (whole, *parsed)} == {"f0"}
    for choice in whole["choices"]:
        of_choice = [one for event in parsed for one in event["choices"] if one["index"] == choice["index"]]
        assert "".join(one["text"] for one in of_choice) == choice["text"]
        assert of_choice[-1]["finish_reason"] == choice["finish_reason"]
        for name, values in choice["logprobs"].items():
            assert [value for one in of_choice for value in one["logprobs"][name]] == values
    assert whole["choices"][0]["logprobs"]["text_offset"] == [0, 1, 2, 3]
    assert whole["choices"][0]["text"] == "abce"


@pytest.mark.parametrize("message", ["not finite", 'with "quotes"\n'])
def test_an_error_in_the_middle_is_an_event(message: str) -> None:
    *_, last = asyncio.run(_stream(CharloomError(message)))
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == message
