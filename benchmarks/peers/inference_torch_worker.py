"""PyTorch and charloom worker of the inference benchmark: a recurrent layer in evaluation, kept warm in one process."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from worker import Step, serve

import charloom

_LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def _bandwidth(num_bytes: int) -> Step:
    """Returns a step that reads this number of bytes once: the dot product of two halves."""
    first, second = torch.randn(2, num_bytes // 8)
    return lambda: torch.dot(first, second)


def _rate(library: str) -> Step:
    """Returns a product of 2 * 1024**3 operations."""
    a, b = torch.randn(2, 1024, 1024)
    if library == "pytorch":
        return lambda: a @ b
    return lambda: a.numpy() @ b.numpy()


def make(row: dict[str, Any]) -> Step:
    """Returns a call of a layer, or a step that measures the machine."""
    torch.set_num_threads(row["threads"])
    torch.manual_seed(0)
    contestant = row["contestant"]
    if contestant.endswith(" rate"):
        return _rate(contestant.split()[0])
    if contestant == "bandwidth":
        return _bandwidth(row["weight_bytes"])
    layer = _LAYERS[row["cell"]](row["inputs"], row["hidden"], row["layers"])
    if contestant.startswith("charloom"):
        charloom.accelerate(layer)
    if row["form"] == "language model":
        return _language_model(layer, row)
    if row["form"] == "packed":
        return _packed(layer, row)
    if row["form"] == "resets":
        return _resets(layer, row)
    return _inference(layer, row)


def _state(row: dict[str, Any]) -> Any:
    state = torch.zeros(row["layers"], row["batch"], row["hidden"])
    return (state, state.clone()) if row["cell"] == "lstm" else state


def _inference(layer: nn.Module, row: dict[str, Any]) -> Step:
    contestant, model = row["contestant"], nn.Sequential(layer).eval()
    if contestant == "pytorch int8":
        torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.GRU}, torch.qint8, inplace=True)
        if type(model[0]) is type(layer):
            raise ValueError("quantize_dynamic does not convert this layer")
    if contestant in ("charloom bfloat16", "charloom int8"):
        charloom.accelerate(layer, precision=contestant.removeprefix("charloom "))
    if contestant.startswith("charloom "):
        charloom.freeze(model)
    torch.set_grad_enabled(False)  # not at each call, which would take a microsecond
    inputs, state, run = torch.randn(row["steps"], row["batch"], row["inputs"]), _state(row), model[0]
    return lambda: run(inputs, state)


def _language_model(layer: nn.Module, row: dict[str, Any]) -> Step:
    alphabet = "".join(map(chr, range(0x400, 0x464)))  # 100 tokens
    embedding, output = nn.Embedding(len(alphabet), row["inputs"]), nn.Linear(row["hidden"], len(alphabet))
    torch.set_grad_enabled(False)
    state, ids = _state(row), torch.tensor([3])
    if row["contestant"] == "pytorch":

        def step() -> torch.Tensor:
            outputs, _ = layer(embedding(ids.unsqueeze(0)), state)
            return output(outputs[0])

        return step
    if row["contestant"].startswith("charloom frozen"):
        charloom.freeze(layer.eval())
    if row["contestant"].endswith("layer alone"):
        inputs = torch.randn(1, 1, row["inputs"])
        return lambda: layer(inputs, state)
    model = charloom.LanguageModel(layer, charloom.Vocabulary.of_text(alphabet), embedding_size=row["inputs"])
    return lambda: model.step(ids, state)


def _packed(layer: nn.Module, row: dict[str, Any]) -> Step:
    lengths = torch.randint(10, row["steps"] + 1, (row["batch"],))
    inputs = torch.randn(int(lengths.max()), row["batch"], row["inputs"], requires_grad=True)
    upstream = torch.randn(len(inputs), row["batch"], row["hidden"])
    if row["contestant"].endswith(" padded"):
        return lambda: layer(inputs)[0].backward(upstream)
    packed = pack_padded_sequence(inputs.detach(), lengths, enforce_sorted=False)
    data, slopes = packed.data.requires_grad_(), torch.randn(len(packed.data), row["hidden"])
    return lambda: layer(packed._replace(data=data))[0].data.backward(slopes)


def _resets(layer: nn.Module, row: dict[str, Any]) -> Step:
    inputs = torch.randn(row["steps"], row["batch"], row["inputs"], requires_grad=True)
    upstream, first = torch.randn(row["steps"], row["batch"], row["hidden"]), _state(row)
    resets = torch.rand(row["steps"], row["batch"]) < 0.02
    if row["contestant"] == "charloom":
        return lambda: layer(inputs, first, resets=resets)[0].backward(upstream)
    if row["contestant"] == "charloom without resets":
        return lambda: layer(inputs, first)[0].backward(upstream)

    def loop() -> None:
        state, outputs = first, []
        for x, reset in zip(inputs, resets, strict=True):
            keep = (~reset).unsqueeze(-1)
            state = tuple(part * keep for part in state) if isinstance(state, tuple) else state * keep
            y, state = layer(x.unsqueeze(0), state)
            outputs.append(y)
        torch.cat(outputs).backward(upstream)

    return loop


if __name__ == "__main__":
    serve(make)
