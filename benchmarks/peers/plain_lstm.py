"""A plain PyTorch LSTM with charloom's settings, trained for a time; prints its held-out loss.

``torch.nn`` and ``torch.optim`` only: embedding, dropout, LSTM, dropout, dense layer; AdamW with a cosine schedule that
ends with the time; truncated backpropagation with a carried state. bfloat16 by autocast, if charloom uses it.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

State = tuple[Tensor, Tensor] | None


class Model(nn.Module):
    """Embedding, LSTM and dense layer."""

    def __init__(self, vocabulary: int, settings: dict[str, Any]) -> None:
        super().__init__()
        size, hidden = settings["embedding_size"], settings["hidden_size"]
        self.embedding, self.dropout = nn.Embedding(vocabulary, size), nn.Dropout(settings["dropout"])
        self.lstm, self.output = nn.LSTM(size, hidden, settings["num_layers"]), nn.Linear(hidden, vocabulary)

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Maps ids (steps, batch) to logits (steps, batch, vocabulary)."""
        outputs, last = self.lstm(self.dropout(self.embedding(ids)), state)
        return self.output(self.dropout(outputs)), last


def train(model: Model, ids: Tensor, settings: dict[str, Any], end: float) -> int:
    """Trains until the time ``end`` and returns the number of steps."""
    started, steps = time.monotonic(), 0
    batch, length = settings["batch_size"], settings["num_steps"]
    optimizer = torch.optim.AdamW(model.parameters(), settings["learning_rate"], fused=True)
    if (len(ids) - length) // batch < length:
        raise SystemExit("the training text is too short")
    while True:
        offset = int(torch.randint(length, ()))
        rows = (len(ids) - 1 - offset) // batch
        part = ids[offset:][: rows * batch + 1]
        inputs, targets = part[:-1].view(batch, rows).t(), part[1:].view(batch, rows).t()
        state: State = None
        for start in range(0, rows - length + 1, length):
            share = (time.monotonic() - started) / (end - started)
            if share >= 1:
                return steps
            for group in optimizer.param_groups:
                warmup = min(1.0, 0.02 + share / 0.05)
                group["lr"] = settings["learning_rate"] * warmup * (0.5 + 0.5 * math.cos(math.pi * share))
            taken = slice(start, start + length)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings["precision"] == "bfloat16"):
                logits, state = model(inputs[taken], state)
            assert state is not None
            state = (state[0].detach(), state[1].detach())
            loss = functional.cross_entropy(logits.float().flatten(0, 1), targets[taken].flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch's
            nn.utils.clip_grad_norm_(model.parameters(), settings["clip_norm"])
            optimizer.step()
            steps += 1


@torch.no_grad()
def score(model: Model, ids: Tensor) -> float:
    """Returns nats per token, in one pass with a carried state."""
    total, state = 0.0, None
    for start in range(0, len(ids) - 1, 1000):
        part = ids[start : start + 1001]
        logits, state = model(part[:-1, None], state)
        total += float(functional.cross_entropy(logits[:, 0], part[1:], reduction="sum"))
    return total / (len(ids) - 1)


def main() -> None:
    """Arguments: the training text, the held-out text, minutes, the seed, and the settings as JSON."""
    end = time.monotonic() + 60 * float(sys.argv[3])
    torch.manual_seed(int(sys.argv[4]))
    training, held_out = (Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3])
    numbers = {character: number for number, character in enumerate(sorted({*training, *held_out}))}
    settings = json.loads(sys.argv[5])
    model = Model(len(numbers), settings)
    steps = train(model, torch.tensor([numbers[character] for character in training]), settings, end)
    nats = score(model.eval(), torch.tensor([numbers[character] for character in held_out]))
    print(json.dumps({"nats": nats, "steps": steps}))


if __name__ == "__main__":
    main()
