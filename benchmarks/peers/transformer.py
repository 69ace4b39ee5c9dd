"""A small transformer with nanoGPT's published settings for a CPU, trained for a time; prints its held-out loss.

Written again from the settings in nanoGPT's README (https://github.com/karpathy/nanoGPT): 4 layers, 4 heads, 128
channels, context of 64 characters, batch size 12, AdamW with a cosine schedule after 100 warm-up steps, no dropout. The
learning rate falls to its minimum at the end of the given time instead of after 2,000 steps.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS, HEADS, CHANNELS, CONTEXT, BATCH = 4, 4, 128, 64, 12
RATE, MIN_RATE, WARMUP = 1e-3, 1e-4, 100


class Block(nn.Module):
    """Causal self-attention and a feed-forward network, each with layer normalization before it."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.project = (
            nn.Linear(CHANNELS, 3 * CHANNELS, bias=False),
            nn.Linear(CHANNELS, CHANNELS, bias=False),
        )
        self.widen, self.narrow = (
            nn.Linear(CHANNELS, 4 * CHANNELS, bias=False),
            nn.Linear(4 * CHANNELS, CHANNELS, bias=False),
        )
        self.first_norm, self.second_norm = nn.LayerNorm(CHANNELS, bias=False), nn.LayerNorm(CHANNELS, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (batch, steps, channels) to the same shape."""
        batch, steps, _ = x.shape
        parts = self.attend(self.first_norm(x)).view(batch, steps, 3, HEADS, CHANNELS // HEADS).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts
        mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).reshape(batch, steps, CHANNELS))
        result: Tensor = x + self.narrow(functional.gelu(self.widen(self.second_norm(x))))
        return result


class Transformer(nn.Module):
    """Logits of the next token at every step; embedding and output share their weights."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, CHANNELS), nn.Embedding(CONTEXT, CHANNELS)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(CHANNELS, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = math.sqrt(2 * LAYERS) if name.endswith(("project.weight", "narrow.weight")) else 1.0
                nn.init.normal_(parameter, std=0.02 / scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Maps ids (batch, steps) to logits (batch, steps, vocabulary)."""
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        logits: Tensor = self.norm(self.blocks(x)) @ self.tokens.weight.t()
        return logits


def train(model: Transformer, ids: Tensor, end: float) -> int:
    """Trains until the time ``end`` and returns the number of steps."""
    started, steps = time.monotonic(), 0
    matrices = [p for p in model.parameters() if p.dim() == 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, RATE, betas=(0.9, 0.99))
    while (now := time.monotonic()) < end:
        share = (now - started) / (end - started)
        cosine = MIN_RATE + 0.5 * (RATE - MIN_RATE) * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = min(cosine, RATE * (steps + 1) / WARMUP)
        starts = torch.randint(len(ids) - CONTEXT, (BATCH, 1)) + torch.arange(CONTEXT + 1)
        batch = ids[starts.clamp(max=len(ids) - 1)]
        loss = functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    return steps


@torch.no_grad()
def score(model: Transformer, ids: Tensor) -> float:
    """Returns nats per token, each predicted from at least half a context, except the first ones."""
    total, half = 0.0, CONTEXT // 2
    for start in range(0, len(ids) - 1, half):
        window = ids[start : start + CONTEXT + 1]
        logits = model(window[None, :-1])[0]
        skip = half if start else 0
        if len(window) - 1 > skip:
            total += float(functional.cross_entropy(logits[skip:], window[skip + 1 :], reduction="sum"))
    return total / (len(ids) - 1)


def main() -> None:
    """Trains on the file in the first argument for the minutes in the third and scores the second file."""
    end = time.monotonic() + 60 * float(sys.argv[3])
    torch.manual_seed(int(sys.argv[4]))
    training, held_out = (Path(name).read_text(encoding="utf-8") for name in sys.argv[1:3])
    numbers = {character: number for number, character in enumerate(sorted({*training, *held_out}))}
    model = Transformer(len(numbers))
    steps = train(model, torch.tensor([numbers[character] for character in training]), end)
    nats = score(model.eval(), torch.tensor([numbers[character] for character in held_out]))
    print(json.dumps({"nats": nats, "steps": steps}))


if __name__ == "__main__":
    main()
