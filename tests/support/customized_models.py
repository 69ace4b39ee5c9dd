"""Customizations of a ``LanguageModel`` by PyTorch's users: a table of changes, and of contexts of a call."""

# mypy: disallow-untyped-calls=False

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import charloom
from charloom import LanguageModel
from torch_transforms import scaled_gradient, scaled_input, scaled_output

CORPUS = charloom.corpus_from("the sailor and his sons drank rum on the shore near tall dunes until dawn. " * 8)
VOCABULARY = CORPUS.vocabulary
_SIZE, _HIDDEN, _EMBEDDED = len(VOCABULARY), 12, 8


class _Scaled(LanguageModel):
    """A subclass with another forward."""

    def forward(self, ids: Tensor, state: Any = None) -> Any:
        logits, state = super().forward(ids, state)
        return logits / 2, state


class _OtherInput(LanguageModel):
    """A subclass with another encoding of the input."""

    def _encode(self, ids: Tensor) -> Tensor:
        return super()._encode(ids) * 0.5


class _OtherStep(LanguageModel):
    """A subclass whose ``step`` differs from its ``forward``."""

    def step(self, ids: Any, state: Any) -> Any:
        logits, state = super().step(ids, state)
        return -logits, state


class _OtherCall(LanguageModel):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        logits, state = super().__call__(*args, **kwargs)
        return logits / 2, state


class _OtherStart(LanguageModel):
    """A subclass with another initial state."""

    def begin_state(self, batch_size: int) -> Any:
        return torch.ones_like(super().begin_state(batch_size))  # type: ignore[arg-type] # a GRU's


class _LayerWithStart(charloom.layers.GRU):
    """A layer with another initial state."""

    def begin_state(self, batch_size: int, **options: Any) -> Any:
        return torch.ones_like(super().begin_state(batch_size, **options))  # type: ignore[arg-type] # a GRU's


class _LoRA(nn.Linear):
    """A low-rank adapter of a frozen layer."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base.in_features, base.out_features)
        self.load_state_dict(base.state_dict())
        self.weight.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(2, base.in_features))
        self.b = nn.Parameter(torch.randn(base.out_features, 2))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.a.t() @ self.b.t()


class _Doubled(nn.Embedding):
    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * 2


class _DoubledLayer(charloom.layers.GRU):
    def forward(self, inputs: Any, hx: Any = None, *, resets: Any = None) -> Any:
        return super().forward(inputs * 2, hx, resets=resets)


class _CalledLayer(charloom.layers.GRU):
    def __call__(self, inputs: Any, hx: Any = None) -> Any:
        return super().__call__(inputs * 2, hx)


class _Halved(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2


class _Tanh(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()


def model(kind: type[LanguageModel] = LanguageModel, layer: Any = charloom.layers.GRU, **options: Any) -> LanguageModel:
    """Returns a small model, each time with the same weights."""
    torch.manual_seed(0)
    return kind(layer(options.get("embedding_size") or _SIZE, _HIDDEN), VOCABULARY, **options)


def _put(name: str, make: Callable[[Any], Any], **options: Any) -> Callable[[], LanguageModel]:
    """Returns a function that makes a model with one part replaced."""

    def build() -> LanguageModel:
        built = model(**options)
        setattr(built, name, make(getattr(built, name)))
        return built

    return build


def _with(change: Callable[[Any], Any], **options: Any) -> Callable[[], LanguageModel]:
    """Returns a function that makes a model changed in place."""

    def build() -> LanguageModel:
        built = model(**options)
        change(built)
        return built

    return build


def _setting(name: str, value: Any) -> Callable[[], LanguageModel]:
    return _with(lambda built: setattr(built.embedding, name, value), embedding_size=_EMBEDDED)


def _own_step(built: Any) -> None:
    step = built.step

    def negated(ids: Tensor, state: Any) -> Any:
        logits, state = step(ids, state)
        return -logits, state

    built.step = negated


def _untie(built: Any) -> None:
    built.output.weight = nn.Parameter(built.output.weight.detach() * 2)


def _zero_state(_: Any, __: Any, output: Any) -> Any:
    return output[0], output[1] * 0


def _own_forward(built: Any) -> None:
    forward = built.forward

    def halved(ids: Tensor, state: Any = None) -> Any:
        logits, state = forward(ids, state)
        return logits / 2, state

    built.forward = halved


def _given_gradients(built: Any) -> None:
    """Gradients as views of one block, as DistributedDataParallel and others have them, except a sparse one."""
    parameters = list(built.parameters())
    built.block = torch.full((sum(p.numel() for p in parameters),), 0.5)
    for p, part in zip(parameters, built.block.split([p.numel() for p in parameters]), strict=True):
        p.grad = part.view(p.shape)
    built.output.weight.grad = torch.ones_like(built.output.weight).to_sparse()


def _layer_dropout(dropout: float) -> Callable[[], LanguageModel]:
    def change(built: Any) -> None:
        built.layer.dropout = dropout

    return _with(change, layer=lambda *sizes: charloom.layers.GRU(*sizes, num_layers=2))


CUSTOMIZED: dict[str, Callable[[], LanguageModel]] = {
    "plain": model,
    "plain RNN": lambda: model(layer=charloom.layers.RNN),
    "plain LSTM": lambda: model(layer=charloom.layers.LSTM, embedding_size=_EMBEDDED),
    "tied": lambda: model(embedding_size=_HIDDEN, tied_output=True),
    "tied, then not": _with(_untie, embedding_size=_HIDDEN, tied_output=True),
    "tied, then loaded by assignment": _with(
        lambda built: built.load_state_dict({k: v.clone() for k, v in built.state_dict().items()}, assign=True),
        embedding_size=_HIDDEN,
        tied_output=True,
    ),
    "tied by hand": _with(
        lambda built: setattr(built.output, "weight", built.embedding.weight), embedding_size=_HIDDEN
    ),
    "subclass with another forward": lambda: model(_Scaled),
    "subclass with another input": lambda: model(_OtherInput),
    "subclass with another first state": lambda: model(_OtherStart),
    "subclass with another step": lambda: model(_OtherStep),
    "subclass with another call": lambda: model(_OtherCall),
    "forward of an instance": _with(_own_forward),
    "hook on the model": _with(lambda built: built.register_forward_hook(lambda *call: (-call[2][0], call[2][1]))),
    "hook before the model": _with(
        lambda built: built.register_forward_pre_hook(lambda _, call: (call[0] % 5, *call[1:]))
    ),
    "step of an instance": _with(_own_step),
    "layer subclass with another first state": lambda: model(layer=_LayerWithStart),
    "layer subclass": lambda: model(layer=_DoubledLayer),
    "layer subclass with another call": lambda: model(layer=_CalledLayer),
    "output LoRA": _put("output", _LoRA),
    "output Sequential": _put("output", lambda _: nn.Sequential(nn.Linear(_HIDDEN, 5), nn.Tanh(), nn.Linear(5, _SIZE))),
    "output without bias": _put("output", lambda _: nn.Linear(_HIDDEN, _SIZE, bias=False)),
    "output larger": _put("output", lambda _: nn.Linear(_HIDDEN, _SIZE + 200)),
    "output parametrized": _with(lambda built: parametrizations.weight_norm(built.output)),
    "output parametrized bias": _with(lambda b: parametrize.register_parametrization(b.output, "bias", _Tanh())),
    "output weight_norm": _with(lambda built: nn.utils.weight_norm(built.output)),
    "output pruned": _with(lambda built: prune.l1_unstructured(built.output, "weight", 0.5)),
    "output frozen": _with(lambda built: built.output.requires_grad_(False)),
    "layer parametrized": _with(lambda built: parametrizations.weight_norm(built.layer, "weight_hh_l0")),
    "layer weight_norm": _with(lambda built: nn.utils.weight_norm(built.layer, "weight_hh_l0")),
    "layer pruned": _with(lambda built: prune.l1_unstructured(built.layer, "weight_ih_l0", 0.5)),
    "layer frozen": _with(lambda built: built.layer.requires_grad_(False)),
    "layer without bias": lambda: model(layer=lambda *sizes: charloom.layers.GRU(*sizes, bias=False)),
    "embedding padding_idx": _setting("padding_idx", 3),
    "embedding scale_grad_by_freq": _setting("scale_grad_by_freq", True),
    "embedding max_norm": _setting("max_norm", 0.5),
    "embedding sparse": _setting("sparse", True),
    "embedding subclass": _put("embedding", lambda _: _Doubled(_SIZE, _EMBEDDED), embedding_size=_EMBEDDED),
    "embedding parametrized": _with(
        lambda built: parametrize.register_parametrization(built.embedding, "weight", _Tanh()), embedding_size=_EMBEDDED
    ),
    "embedding frozen": _with(lambda built: built.embedding.requires_grad_(False), embedding_size=_EMBEDDED),
    "dropout Identity": _put("dropout", lambda _: nn.Identity()),
    "dropout subclass": _put("dropout", lambda _: _Halved(0.5)),
    "dropout in eval": _with(lambda built: built.eval(), dropout=0.5),
    "forward hook": _with(lambda built: built.layer.register_forward_hook(scaled_output)),
    "forward hook on the state": _with(lambda built: built.layer.register_forward_hook(_zero_state)),
    "forward hook of the model": _with(lambda built: built.register_forward_hook(scaled_output)),
    "forward pre-hook": _with(lambda built: built.output.register_forward_pre_hook(scaled_input)),
    "full backward hook": _with(lambda built: built.output.register_full_backward_hook(scaled_gradient)),
    "full backward hook of the layer": _with(lambda built: built.layer.register_full_backward_hook(scaled_gradient)),
    "full backward hook of the model": _with(lambda built: built.register_full_backward_hook(scaled_gradient)),
    "full backward pre-hook": _with(lambda built: built.layer.register_full_backward_pre_hook(scaled_gradient)),
    "tensor hook": _with(lambda built: built.output.weight.register_hook(lambda gradient: gradient * 3)),
    "gradients beforehand": _with(_given_gradients),
    "float64": _with(lambda built: built.double()),
    "bfloat16": _with(lambda built: built.bfloat16()),
    "replaced weights": _put("output", lambda output: output.requires_grad_(True).float()),
    "layer of torch.nn": _put("layer", lambda _: nn.GRU(_SIZE, _HIDDEN)),
    "restored layer": _with(lambda built: charloom.restore(built)),
}
"""Customized models whose forward succeeds."""

WRONG: dict[str, Callable[[], LanguageModel]] = {
    "dropout below 0": _with(lambda built: setattr(built.dropout, "p", -0.5)),
    "dropout NaN": _with(lambda built: setattr(built.dropout, "p", float("nan"))),
    "dropout of the layer below 0": _layer_dropout(-0.5),
    "dropout of the layer NaN": _layer_dropout(float("nan")),
    "output smaller": _put("output", lambda _: nn.Linear(_HIDDEN, 3)),
    "output of another hidden size": _put("output", lambda _: nn.Linear(_HIDDEN - 4, _SIZE)),
    "output's bias short": _with(lambda built: setattr(built.output, "bias", nn.Parameter(torch.zeros(2)))),
    "output's weight transposed": _with(
        lambda built: setattr(built.output, "weight", nn.Parameter(built.output.weight.detach().t().contiguous()))
    ),
    "output's weight in float64": _with(lambda built: built.output.double()),
    "output's weight on meta": _with(lambda built: built.output.to("meta")),
    "embedding of another size": _put("embedding", lambda _: nn.Embedding(_SIZE, 4), embedding_size=_EMBEDDED),
    "embedding of fewer rows": _put("embedding", lambda _: nn.Embedding(3, _EMBEDDED), embedding_size=_EMBEDDED),
    "frozen": _with(lambda built: built.requires_grad_(False)),
    "dropout above 1": _with(lambda built: setattr(built.dropout, "p", 1.5)),
    "layer of another size": _put("layer", lambda _: charloom.layers.GRU(_SIZE, _HIDDEN + 4)),
    "layer's weights smaller": _with(
        lambda built: setattr(built.layer, "weight_hh_l0", nn.Parameter(torch.zeros(3 * _HIDDEN, 4)))
    ),
}
"""Customized models whose forward raises, or whose targets do not exist."""
