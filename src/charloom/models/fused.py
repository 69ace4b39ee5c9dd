"""Native training steps and generation for language models whose parts are all of types that the kernels support.

A part of a model can be replaced, subclassed, parametrized, pruned or hooked. A model with any part that may compute
something else than the kernels is left to PyTorch.
"""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from charloom.layers import RecurrentLayer
from charloom.layers.inference_arguments import inference_arguments
from charloom.layers.read_weights import named_weights
from charloom.layers.torch_classes import has_torch_forward
from charloom.recurrence.backend import Kernels, backend, covers
from charloom.recurrence.inference import can_infer, infer_step
from charloom.recurrence.kernel_arguments import KernelArgumentError, ModelShape, OptionalTensors, training_precision
from charloom.recurrence.kernel_calls import Step
from charloom.recurrence.native_generator import NativeGenerator
from charloom.recurrence.native_step import native_backpropagation, native_loss
from charloom.recurrence.state import state_to_tuple, tuple_to_state
from charloom.recurrence.torch_internals import are_compiled, are_hooked, has_gradient_hooks
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import State
from charloom_codec.cells import CELL_OF_MODE, CELLS

if TYPE_CHECKING:
    from charloom.models.language_model import LanguageModel


def describe_unsupported_part(model: "LanguageModel", methods: Mapping[str, object]) -> str | None:
    """Describes the first part of a model that its configuration does not describe.

    Args:
        model: An instance of ``LanguageModel`` or a subclass.
        methods: Methods of ``LanguageModel`` by name, with which the model's are compared.

    Returns:
        The description; None if the configuration describes every part.
    """
    # A subclass, an instance or a patched class may have other methods.
    model_class, attributes = type(model), vars(model)
    # This runs on every training step: it compares identities and shapes only.
    for name, method in methods.items():
        if getattr(model_class, name) is not method or name in attributes:
            return f"{model_class.__qualname__} overrides {name}"
    for kind in model_class.__mro__:
        if not vars(kind).keys().isdisjoint(_Parts._fields):
            return f"{kind.__qualname__} overrides a part"
    layer, output, dropout, embedding = _read_parts(model)
    vocabulary_size = len(model.vocabulary)
    known = isinstance(layer, RecurrentLayer) and has_torch_forward(layer.mode)
    if not known or _runs_other_forward(layer, _LAYER):
        return f"layer is of type {_name(layer)}, which overrides forward"
    if not 0 <= layer.dropout <= 1:
        return f"layer.dropout is {layer.dropout}"
    if "parametrizations" in layer._modules:
        return "layer is parametrized"
    if layer.bidirectional or layer.batch_first:
        return "layer is bidirectional or batch first"
    if type(dropout) is not nn.Dropout or _runs_other_forward(dropout, _DROPOUT):
        return f"dropout is of type {_name(dropout)}"
    if not 0 <= dropout.p <= 1:
        return f"dropout.p is {dropout.p}"
    if type(output) is not nn.Linear or _runs_other_forward(output, _LINEAR):
        return f"output is of type {_name(output)}"
    weight, bias = (_read(output, "_parameters", name) for name in ("weight", "bias"))
    if bias is None:
        return "output has no bias"
    if weight.shape != (vocabulary_size, layer.proj_size or layer.hidden_size):
        return f"output.weight is {tuple(weight.shape)}"
    if bias.shape != (vocabulary_size,):
        return f"output.bias is {tuple(bias.shape)}"
    if type(layer).begin_state is not RecurrentLayer.begin_state or "begin_state" in vars(layer):
        return "layer overrides begin_state"
    return _unknown_input(embedding, layer, vocabulary_size)


class _Parts(NamedTuple):
    """The parts of a language model."""

    layer: RecurrentLayer
    output: nn.Linear
    dropout: nn.Dropout
    embedding: nn.Embedding | None


def _read_parts(model: "LanguageModel") -> _Parts:
    """Returns the parts of a model whose class defines none of them."""
    return _Parts(*(_read(model, "_modules", name) for name in _Parts._fields))


def _read(module: nn.Module, kind: str, name: str) -> Any:
    """Returns a parameter or submodule that the module's class does not define; None if there is none.

    Faster than ``getattr``, which searches the class and raises an error before it searches here.
    """
    attributes = vars(module)
    return attributes[name] if name in attributes else attributes[kind].get(name)


# Read at import: a function that replaces one of these in a class of torch.nn later is meant to be called.
_CALL, _DROPOUT, _LINEAR, _EMBEDDING = nn.Module.__call__, nn.Dropout.forward, nn.Linear.forward, nn.Embedding.forward
_LAYER = RecurrentLayer.forward


# Each of these changes the embedding's output or its gradient; the kernels implement the defaults only.
_EMBEDDING_OPTIONS = {"padding_idx": None, "max_norm": None, "scale_grad_by_freq": False, "sparse": False}


def _runs_other_forward(part: nn.Module, forward: Callable[..., object]) -> bool:
    """Returns True if calling a part runs another function than ``forward``."""
    kind = type(part)
    return kind.forward is not forward or kind.__call__ is not _CALL or "forward" in vars(part)


def _unknown_input(embedding: nn.Embedding | None, layer: RecurrentLayer, vocabulary_size: int) -> str | None:
    if embedding is None:
        return None if layer.input_size == vocabulary_size else f"layer.input_size is {layer.input_size}"
    if type(embedding) is not nn.Embedding or _runs_other_forward(embedding, _EMBEDDING):
        return f"embedding is of type {_name(embedding)}"
    for option, default in _EMBEDDING_OPTIONS.items():
        if getattr(embedding, option) != default:
            return f"embedding has {option}"
    weight = _read(embedding, "_parameters", "weight")
    if weight.shape != (vocabulary_size, layer.input_size):
        return f"embedding.weight is {tuple(weight.shape)}"
    return None


def _native_parameters(model: "LanguageModel") -> tuple[Kernels, ModelShape, OptionalTensors] | None:
    """Returns kernels, sizes and parameters of a model; None unless the kernels compute the same as ``forward``."""
    # Shapes and dtypes of the parameters are checked later, by kernel_calls. ``covers()`` here is for the modes alone.
    kernels = backend().kernels
    if kernels is None or not covers() or model.describe_unsupported_part() or are_hooked([model, *model.children()]):
        return None
    layer, output = model.layer, model.output
    embedding = None if model.embedding is None else model.embedding.weight
    # By name on every call: functional_call and weight drop replace attributes.
    weights = named_weights(layer)
    if weights is None or len(weights) > kernels.max_layers:
        return None
    vocabulary, hidden = output.weight.shape
    embedding_size = 0 if embedding is None else embedding.shape[1]
    shape = ModelShape(CELL_OF_MODE[layer.mode].number, hidden, len(weights), vocabulary, embedding_size)
    return kernels, shape, [embedding, *chain(*weights), output.weight, output.bias]


def infer_step_natively(
    model: "LanguageModel", methods: Mapping[str, object], ids: Tensor, state: State
) -> tuple[Tensor, State] | None:
    """Computes ``LanguageModel.step`` in one native call; returns None if the kernels do not cover it.

    Args:
        model: The model.
        methods: The methods that ``step`` calls, by name, with which the model's are compared.
        ids: Token ids (batch,).
        state: State before them.
    """
    if not can_infer() or describe_unsupported_part(model, methods):
        return None
    layer, output, dropout, embedding = _read_parts(model)
    modules = (model, layer, output, dropout, embedding)
    if (dropout.training and dropout.p) or are_hooked(modules) or are_compiled(modules):
        return None
    arguments = inference_arguments(layer)
    if arguments is None:
        return None
    options, weights = arguments
    table = None if embedding is None else _read(embedding, "_parameters", "weight")
    matrix, bias = (_read(output, "_parameters", name) for name in ("weight", "bias"))
    return infer_step(options, ids, state, weights, layer.frozen_weights, table, matrix, bias)


def native_generator(model: "LanguageModel", precision: GenerationPrecision) -> NativeGenerator | None:
    """Packs a model's weights for generation; returns None if the kernels do not cover the model."""
    found = _native_parameters(model)
    if found is None:
        return None
    kernels, shape, parameters = found
    # Packing copies the weights once per text, so that a copy of non-contiguous ones does not matter.
    dense = [None if p is None else p.detach().contiguous() for p in parameters]
    try:  # other dtypes, shapes and devices than the kernels take are found here
        return NativeGenerator(kernels, shape, precision == "int8", dense)
    except KernelArgumentError:
        return None


def run_native(
    model: "LanguageModel", ids: Tensor, targets: Tensor, state: State | None, *, backpropagate: bool
) -> tuple[Tensor, State] | None:
    """Computes ``LanguageModel.loss`` or ``backpropagate`` natively; returns None if the kernels do not cover it."""
    found = prepare_native_step(model, ids, targets, state)
    if found is None:
        return None
    if backpropagate:
        # Without a parameter that is trained, autograd raises an error, which the slower path then does too.
        parameters = [p for p in found[1] if p is not None]
        if any(map(_needs_autograd_engine, parameters)) or not any(p.requires_grad for p in parameters):
            return None
    try:
        loss, last = (native_backpropagation if backpropagate else native_loss)(*found)
    except KernelArgumentError:
        return None
    return loss, tuple_to_state(last)


def prepare_native_step(
    model: "LanguageModel", ids: Tensor, targets: Tensor, state: State | None
) -> tuple[Step, OptionalTensors] | None:
    """Returns the arguments of ``native_loss`` and ``native_backpropagation``.

    Returns None unless the kernels compute the same as ``LanguageModel.forward``, gradients are enabled and
    ``torch.compile`` is not tracing.
    """
    # Without gradients the step would compute them in vain; in a graph of torch.compile only the operator is known.
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return None
    found = _native_parameters(model)
    if found is None:
        return None
    (kernels, shape, parameters), layer = found, model.layer
    expected = (layer.num_layers, len(ids), layer.hidden_size)
    num_parts = CELLS[shape.cell].state_parts
    parts = state_to_tuple(state) if state is not None else (ids.new_zeros(expected, dtype=torch.float32),) * num_parts
    # Each part has its own mode, which may differ from the model's: eval() of the layer alone is valid.
    dropout = model.dropout.p if model.dropout.training else 0.0
    layer_dropout = layer.dropout if layer.training else 0.0
    if (
        # forward raises the errors for a state or ids that do not fit; a state with a graph needs its gradient.
        len(parts) != num_parts
        or (isinstance(state, tuple) and num_parts == 1)
        or max(dropout, layer_dropout) >= 1
        or any(not isinstance(part, Tensor) or part.shape != expected or part.requires_grad for part in parts)
        or any(type(t) is not Tensor or not t.is_cpu or not t.numel() for t in (ids, targets))
    ):
        return None
    return Step(
        kernels, shape, training_precision(layer.precision), ids, targets, parts, dropout, layer_dropout
    ), parameters


def _needs_autograd_engine(parameter: Tensor) -> bool:
    """Returns True if only the autograd engine can handle the gradient of a parameter."""
    if not parameter.is_leaf or has_gradient_hooks(parameter):
        return True
    # A sparse gradient, or one of a subclass of Tensor, is added by its own rules.
    gradient = parameter.grad
    return gradient is not None and (type(gradient) is not Tensor or gradient.layout is not torch.strided)


def _name(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"
