"""The JSON of completions, whole or as server-sent events, in the form of OpenAI's API."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from charloom.errors import CharloomError
from charloom.serving.completions import Part, TokenScore
from charloom.serving.requests import ApiError, CompletionRequest


class CollectedChoice:
    """The parts of a choice, joined."""

    def __init__(self) -> None:
        self.text = ""
        self.num_tokens = 0
        self.scores: list[TokenScore] = []
        self.finish_reason: str | None = None

    def add(self, part: Part) -> None:
        """Appends the next part."""
        self.text += part.text
        self.num_tokens += part.num_tokens
        self.scores += part.scores
        self.finish_reason = part.finish_reason


class Answer:
    """The JSON of an answer, in the form of OpenAI's API."""

    def __init__(self, model: str, fingerprint: str, num_prompt_tokens: int) -> None:
        self._num_prompt_tokens = num_prompt_tokens
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": fingerprint,
        }

    def make_whole(self, choices: dict[int, CollectedChoice], wanted: CompletionRequest) -> dict[str, Any]:
        """Returns the answer that has all choices."""
        num_tokens = sum(choice.num_tokens for choice in choices.values())
        return self._head | {
            "choices": [
                _describe_choice(index, choice, wanted, _Offsets()) for index, choice in sorted(choices.items())
            ],
            "usage": {
                "prompt_tokens": self._num_prompt_tokens,
                "completion_tokens": num_tokens,
                "total_tokens": self._num_prompt_tokens + num_tokens,
            },
        }

    async def stream(self, first: Part, parts: AsyncIterator[Part], wanted: CompletionRequest) -> AsyncIterator[str]:
        """Yields the server-sent events of an answer."""
        offsets: dict[int, _Offsets] = {}

        def make_event(part: Part) -> str:
            choice = _describe_choice(part.index, part, wanted, offsets.setdefault(part.index, _Offsets()))
            return f"data: {json.dumps(self._head | {'choices': [choice]})}\n\n"

        yield make_event(first)
        try:
            async for part in parts:
                yield make_event(part)
        except (CharloomError, ApiError) as error:
            yield f"data: {json.dumps({'error': {'message': str(error), 'type': 'server_error'}})}\n\n"
            return
        yield "data: [DONE]\n\n"


class _Offsets:
    """Position in the text of a choice, for the field ``text_offset``."""

    def __init__(self) -> None:
        self.position = 0

    def add(self, token: str) -> int:
        position = self.position
        self.position += len(token)
        return position


def _describe_choice(
    index: int, choice: Part | CollectedChoice, wanted: CompletionRequest, offsets: _Offsets
) -> dict[str, Any]:
    logprobs = None
    if wanted.num_logprobs is not None:
        logprobs = {
            "tokens": [score.token for score in choice.scores],
            "token_logprobs": [score.logprob for score in choice.scores],
            "top_logprobs": [score.top for score in choice.scores] if wanted.num_logprobs else None,
            "text_offset": [offsets.add(score.token) for score in choice.scores],
        }
    return {"index": index, "text": choice.text, "logprobs": logprobs, "finish_reason": choice.finish_reason}
