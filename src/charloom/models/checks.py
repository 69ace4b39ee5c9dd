"""Validation of the arguments of a language model."""

import torch
from torch import Tensor

from charloom.errors import InputError, pluralize
from charloom.layers import RecurrentLayer
from charloom.layers.argument_shapes import state_shapes
from charloom.recurrence.torch_internals import is_in_distributed_forward, is_observed
from charloom.settings.limits import check_count
from charloom.text.vocabulary import Vocabulary
from charloom_codec.arguments import check_type


def check_ids(num_dims: int, /, **arguments: object) -> None:
    """Raises InputError for a keyword argument that is not int64 (batch, steps), or (batch,) if 1 dimension."""
    shape = "(batch, steps)" if num_dims == 2 else "(batch,)"
    for name, ids in arguments.items():
        if not isinstance(ids, Tensor):
            raise InputError(f"{name} must be a tensor, not {type(ids).__name__}")
        if ids.dim() != num_dims or ids.dtype != torch.int64:
            raise InputError(f"{name} must be int64 {shape}, not {ids.dtype} {tuple(ids.shape)}")


def check_step(ids: Tensor, targets: Tensor) -> None:
    """Raises InputError for ids and targets that are not int64 tensors (batch, steps) of one shape."""
    check_ids(2, ids=ids, targets=targets)
    # Equal numbers of elements are not enough: cross-entropy flattens both, and would compare the wrong tokens.
    if ids.shape != targets.shape:
        raise InputError(f"ids and targets have different shapes: {tuple(ids.shape)} and {tuple(targets.shape)}")


def check_can_backpropagate() -> None:
    """Raises InputError within the forward of DistributedDataParallel, which averages ``backward``'s gradients."""
    if is_in_distributed_forward():
        raise InputError(
            "LanguageModel.backpropagate() within DistributedDataParallel does not average the gradients: wrap a "
            "module whose forward returns model.loss(...), and call backward() on the result"
        )


def check_range(ids: Tensor, vocabulary_size: int) -> None:
    """Raises InputError for ids outside the vocabulary, if their values can be read."""
    # Reading a value would break the graph of torch.compile, and raises an error in a function transform.
    if ids.is_meta or not ids.numel() or torch.compiler.is_compiling() or is_observed():
        return
    smallest, largest = (int(bound) for bound in ids.aminmax())
    if smallest < 0 or largest >= vocabulary_size:
        wrong = smallest if smallest < 0 else largest
        raise InputError(f"id {wrong} is not in the vocabulary of {pluralize(vocabulary_size, 'token')}")


def check_state(state: object, layer: RecurrentLayer, batch: int) -> None:
    """Raises InputError for a state that does not have the shapes of the layer's."""
    shapes = state_shapes(layer, batch)
    parts = state if isinstance(state, tuple) else (state,)
    found = tuple(tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in parts)
    # A tensor instead of a pair is found as well as a wrong size.
    if found != tuple(shapes) or isinstance(state, tuple) != (len(shapes) > 1):
        of_state = found if isinstance(state, tuple) else found[0]
        expected = tuple(shapes) if len(shapes) > 1 else shapes[0]
        raise InputError(f"the shape of the state is {of_state}: for these ids, it must be {expected}")


def check_parts(
    layer: RecurrentLayer, vocabulary: Vocabulary, embedding_size: int | None, dropout: float, tied_output: bool
) -> None:
    """Raises InputError or SettingsError for arguments of ``LanguageModel`` that do not fit together."""
    check_type(Vocabulary, vocabulary=vocabulary)
    check_type(bool, tied_output=tied_output)
    if embedding_size is not None:
        check_count("embedding_size", embedding_size, minimum=1)
    # bool is a subclass of int, but ``dropout=True`` is a mistake, not a probability of 1.
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise InputError("it must be a number from 0 to 1", setting="dropout", value=dropout)
    source = "embedding_size" if embedding_size else "the size of the vocabulary"
    _check_layer(layer, embedding_size or len(vocabulary), source)
    # A shared weight has one shape: the embedding's rows must be as long as the layer's outputs.
    output_size = layer.proj_size or layer.hidden_size
    if tied_output and embedding_size != output_size:
        raise InputError(
            f"requires an embedding of the layer's output size, {output_size}, not {embedding_size}",
            setting="tied_output",
        )


def _check_layer(layer: RecurrentLayer, input_size: int, source: str) -> None:
    if not isinstance(layer, RecurrentLayer):
        raise InputError(f"the layer is of type {type(layer).__name__}: pass a charloom.layers.RNN, GRU or LSTM")
    if layer.bidirectional:
        raise InputError(
            "the layer is bidirectional: create it without bidirectional=True; a model must not read what it predicts"
        )
    if layer.batch_first:
        raise InputError(
            "the layer is batch_first: create it without batch_first=True; the model transposes its inputs itself"
        )
    # The error names the argument that determines the size: embedding_size, or the vocabulary if the input is one-hot.
    if layer.input_size != input_size:
        raise InputError(f"the layer's input_size is {layer.input_size}: it must equal {source}, {input_size}")
