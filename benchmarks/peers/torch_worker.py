"""PyTorch and charloom worker: the section's training step for each contestant, kept warm in one process."""

import os
from typing import Any

import torch
from torch import Tensor, nn
from worker import Step, serve

import charloom
from charloom.training.truncated_bptt import train_step

_VOCABULARY = 44


class _Plain(nn.Module):
    """The textbook's model in plain PyTorch."""

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__()
        cells = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
        self.layer = cells[row["cell"]](_VOCABULARY, row["hidden"], row["layers"])
        self.output = nn.Linear(row["hidden"], _VOCABULARY)

    def forward(self, ids: Tensor, targets: Tensor, state: Any) -> tuple[Tensor, Any]:
        outputs, state = self.layer(nn.functional.one_hot(ids.t(), _VOCABULARY).float(), state)
        logits = self.output(outputs)
        return nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.t().flatten()), state


def _detached(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def _pytorch(row: dict[str, Any], ids: Tensor, targets: Tensor) -> Step:
    model = _Plain(row)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_of: Any = torch.compile(model) if row["contestant"] == "compile" else model
    autocast = row["contestant"] == "autocast"
    state: Any = None

    def step() -> Tensor:
        nonlocal state
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss, state = loss_of(ids, targets, state)
        state = _detached(state)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    return step


def _model(row: dict[str, Any]) -> charloom.LanguageModel:
    vocabulary = charloom.Vocabulary.of_text("".join(chr(97 + i) for i in range(_VOCABULARY - 1)))
    settings = charloom.ModelSettings(row["cell"], hidden_size=row["hidden"], num_layers=row["layers"], init_sigma=0)
    return charloom.build_model(vocabulary, settings)


def _charloom(row: dict[str, Any], ids: Tensor, targets: Tensor) -> Step:
    model = _model(row)
    model.precision = row["contestant"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = model.begin_state(len(ids))

    def step() -> Tensor:
        nonlocal state
        loss, state = train_step(model, optimizer, ids, targets, state, 1.0)
        return loss

    return step


def _layers(row: dict[str, Any]) -> Step:
    """Returns forward and backward of a layer alone, PyTorch's or the same after ``charloom.accelerate``."""
    cells = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    layer = cells[row["cell"]](row["hidden"], row["hidden"], row["layers"])
    autocast = row["contestant"] == "layer autocast"
    if row["contestant"] == "layer accelerated":
        charloom.accelerate(layer)
    if row["contestant"] == "layer accelerated bfloat16":
        charloom.accelerate(layer, precision="bfloat16")
    inputs = torch.randn(row["steps"], row["batch"], row["hidden"], requires_grad=True)
    upstream = torch.randn(row["steps"], row["batch"], row["hidden"])

    def step() -> None:
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            outputs = layer(inputs)[0]
        outputs.backward(upstream.to(outputs.dtype))

    return step


def _generate(row: dict[str, Any]) -> Step:
    """Returns a function that generates ``steps`` characters."""
    model = _model(row).eval()
    precision = row["contestant"].removeprefix("generate ")
    sampling = charloom.SamplingSettings(temperature=1.0, seed=0)
    if precision != "pytorch":
        return lambda: charloom.generate(model, "a", row["steps"], sampling, precision=precision)

    @torch.inference_mode()
    def step() -> None:
        state: Any = model.begin_state(1)
        token = torch.zeros(1, dtype=torch.int64)
        for _ in range(row["steps"]):
            one_hot = nn.functional.one_hot(token, _VOCABULARY).float()
            outputs, state = plain(one_hot[None], state)
            token = torch.multinomial(torch.softmax(model.output(outputs[0]), -1), 1)[0]

    cells = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    plain = cells[row["cell"]](_VOCABULARY, row["hidden"], row["layers"])
    plain.load_state_dict(model.layer.state_dict())
    return step


def _rate() -> Step:
    """Returns a large matrix product of 2 * 2048^3 operations, to measure the rate of the floor."""
    matrix = torch.randn(2048, 2048)
    return lambda: torch.mm(matrix, matrix)


def make(row: dict[str, Any]) -> Step:
    """Returns a step of the row's contestant."""
    torch.manual_seed(0)
    torch.set_num_threads(row["threads"])
    if row["contestant"] == "rate":
        return _rate()
    if row["contestant"].startswith("generate"):
        return _generate(row)
    ids = torch.randint(_VOCABULARY, (row["batch"], row["steps"] + 1))
    if row["contestant"].startswith("layer"):
        return _layers(row)
    build = _charloom if row["contestant"] in ("float32", "bfloat16") else _pytorch
    return build(row, ids[:, :-1], ids[:, 1:])


if __name__ == "__main__":
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    serve(make)
