"""The language model: one-hot or embedded input, recurrent layers, an output layer."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charloom.errors import InputError, ModelFolderError
from charloom.layers import RecurrentLayer
from charloom.models import checks, description
from charloom.models.configuration import make_config, make_settings, model_without_weights
from charloom.models.folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Config,
    describe_misfit,
    read_model_folder,
    write_model_folder,
)
from charloom.models.fused import describe_unsupported_part, infer_step_natively, native_generator, run_native
from charloom.models.predictor import check_finite
from charloom.recurrence.backend import backend
from charloom.recurrence.native_generator import NativeGenerator
from charloom.recurrence.state import map_state, state_to_tuple
from charloom.settings.model import LayerPrecision, ModelSettings
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import Ids, Inputs, Logits, Scalar, State, StepIds, StepLogits
from charloom.text.vocabulary import Vocabulary
from charloom_codec.arguments import check_type

_NO_TARGET = torch.iinfo(torch.int64).min  # cross-entropy ignores it; its default, -100, would hide a wrong id


class LanguageModel(nn.Module):
    """A model that predicts the next token of a text; implements ``charloom.Predictor``.

    Attributes:
        layer: The recurrent layer.
        vocabulary: Vocabulary of the token ids.
        embedding: The learned embedding, or None for one-hot input.
        output: The dense layer from hidden states to logits.
        provenance: Text, settings and results of the training, as JSON values that ``train`` records.
    """

    def __init__(
        self,
        layer: RecurrentLayer,
        vocabulary: Vocabulary,
        *,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        tied_output: bool = False,
    ) -> None:
        """Creates a model around a recurrent layer, whose weights are not changed.

        Args:
            layer: ``charloom.layers.RNN``, ``GRU`` or ``LSTM``, unidirectional, time first. Its ``input_size`` is the
                vocabulary's length for one-hot input, else ``embedding_size``.
            vocabulary: Vocabulary of the token ids.
            embedding_size: Size of a learned input embedding; None for one-hot input.
            dropout: Probability of dropout after the embedding and before the output layer.
            tied_output: Share the embedding's weights with the output layer.

        Raises:
            SettingsError: ``embedding_size`` is not an int of at least 1.
            InputError: Another argument is invalid, or the layer does not fit the other arguments.
        """
        super().__init__()
        checks.check_parts(layer, vocabulary, embedding_size, dropout, tied_output)
        self.layer = layer
        self.vocabulary = vocabulary
        self.provenance: Mapping[str, Any] = {}  # filled by ``train``; saved with the model
        # The layer's device and dtype, not the defaults of the process.
        like = state_to_tuple(layer.begin_state(1))[0]
        options: Any = {"device": like.device, "dtype": like.dtype}
        self.embedding = nn.Embedding(len(vocabulary), embedding_size, **options) if embedding_size else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(layer.proj_size or layer.hidden_size, len(vocabulary), **options)
        if tied_output and self.embedding is not None:
            self.output.weight = self.embedding.weight

    @property
    def tied_output(self) -> bool:
        """True if the output layer's weight is the embedding's parameter."""
        return self.embedding is not None and getattr(self.output, "weight", None) is self.embedding.weight

    @property
    def settings(self) -> ModelSettings:
        """Settings of this architecture. They cannot express its precision, a projection or the absence of biases.

        ``init_sigma`` is the default, and ``dropout`` is the higher of the model's and the layer's.
        """
        return make_settings(self)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self._example.device

    @property
    def precision(self) -> LayerPrecision:
        """Precision of matrix products: float32, or bfloat16 with float32 weights; int8 in calls without gradients.

        bfloat16 products are computed by the native kernels or under ``torch.autocast``, int8 products by the kernels
        only. Raises SettingsError if set to another value.
        """
        return getattr(self.layer, "precision", "float32")  # torch.nn's layers have none

    @precision.setter
    def precision(self, precision: LayerPrecision) -> None:
        self.layer.precision = precision

    def begin_state(self, batch_size: int) -> State:
        """Returns the zero state: (layers, batch, hidden); for an LSTM a pair of hidden state and cell state."""
        if not hasattr(self.layer, "begin_state"):  # one of torch.nn's
            return RecurrentLayer.begin_state(self.layer, batch_size)
        return self.layer.begin_state(batch_size)

    def forward(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        """Computes logits and state for token ids.

        Args:
            ids: Token ids, int64 (batch, steps).
            state: State before them; the zero state if None.

        Returns:
            The logits of each next token, (steps, batch, vocabulary), and the state after the last step.

        Raises:
            InputError: The ids are not int64 (batch, steps), one is not in the vocabulary, or the state does not fit.
        """
        checks.check_ids(2, ids=ids)
        if state is not None and isinstance(self.layer, RecurrentLayer):
            checks.check_state(state, self.layer, max(1, len(ids)))
        try:
            inputs = self._encode(ids)
        except (IndexError, RuntimeError):  # only now, because a check before would cost a pass over the ids
            checks.check_range(ids, len(self.vocabulary))
            raise
        outputs, state = self.layer(inputs, state)
        return self.output(self.dropout(outputs)), state

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        """Reads one id for each sequence, (batch,); returns logits (batch, vocabulary) and the state."""
        if (found := infer_step_natively(self, _METHODS_OF_STEP, ids, state)) is not None:
            return found
        checks.check_ids(1, ids=ids)
        logits, state = self(ids.unsqueeze(1), state)
        return logits[0], state  # logits are time first

    def __prepare_scriptable__(self) -> "LanguageModel":
        """Raises InputError: ``torch.jit.script`` calls this, for a module that contains the model too."""
        raise InputError(
            "torch.jit.script does not support LanguageModel: script its layer, or convert the model with "
            "torch.jit.trace or torch.export"
        )

    def loss(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Computes the mean cross-entropy in nats of ``targets`` (batch, steps) after ``ids``.

        Returns:
            The loss, a scalar, and the last state, detached: it can be passed to the next call (truncated BPTT).

        Raises:
            InputError: As for ``forward``, also for the targets; or ids and targets have different shapes.
        """
        checks.check_step(ids, targets)
        if (found := run_native(self, ids, targets, state, backpropagate=False)) is not None:
            return found
        with self._mixed_precision():
            logits, state = self(ids, state)
        checks.check_range(targets, logits.shape[-1])
        dtype = self._example.dtype  # under autocast the logits are bfloat16, which is too coarse for a loss
        loss = functional.cross_entropy(logits.to(dtype).flatten(0, 1), targets.t().flatten(), ignore_index=_NO_TARGET)
        return loss, map_state(lambda part: part.detach().to(dtype), state)

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Computes ``loss`` and adds its gradients to the parameters' ``grad``, as ``backward`` does.

        Hooks on a parameter's ``AccumulateGrad`` node may not run; with such hooks, call ``loss`` and ``backward``.

        Returns:
            The loss and the last state, both detached.

        Raises:
            InputError: As for ``loss``, or if called within the forward of a DistributedDataParallel module, which must
                return ``loss`` instead.
        """
        checks.check_can_backpropagate()
        checks.check_step(ids, targets)
        if (found := run_native(self, ids, targets, state, backpropagate=True)) is not None:
            return found
        loss, last = self.loss(ids, targets, state)
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        return loss.detach(), last

    def make_generator(self, precision: GenerationPrecision = "float32") -> NativeGenerator | None:
        """Copies the weights into a generator for fast text generation, which later changes of the model do not affect.

        Returns None if the kernels do not cover the model.
        """
        return native_generator(self, precision)

    def describe_unsupported_part(self) -> str | None:
        """Describes the first part or method that a configuration cannot describe; returns None if there is none."""
        return describe_unsupported_part(self, _METHODS)

    @property
    def _example(self) -> Tensor:
        """A tensor of the model's device and dtype."""
        return next(self.parameters(), torch.empty(0, dtype=torch.float32, device="cpu"))

    def _mixed_precision(self) -> AbstractContextManager[object]:
        """Returns the context for bfloat16 by PyTorch; the native kernels convert their operands themselves."""
        native = isinstance(self.layer, RecurrentLayer) and self.device.type == "cpu" and backend().kernels is not None
        if self.precision != "bfloat16" or native:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _encode(self, ids: Ids) -> Inputs:
        """Returns the layer's input, (steps, batch, features), for ids (batch, steps)."""
        if self.embedding is not None:
            return self.dropout(self.embedding(ids.t()))  # type: ignore[no-any-return] # one-hot inputs have no dropout
        one_hot = torch.zeros(*ids.t().shape, len(self.vocabulary), dtype=self._example.dtype, device=ids.device)
        return one_hot.scatter_(2, ids.t().unsqueeze(2), 1.0)

    _repr_html_ = description.make_model_markup

    def save(self, path: str | Path) -> None:
        """Writes ``config.json`` and ``model.safetensors`` to a folder, each atomically.

        Deletes the codec's files of other weights. Raises InputError as ``to_config`` does and for NaN or infinite
        weights, and ModelFolderError if the folder cannot be written.
        """
        write_model_folder(path, *self.to_config())

    def own_tensors(self) -> dict[str, Tensor]:
        """Returns the ``state_dict``, with tied weights under one name only."""
        shared = "output.weight" if self.tied_output else None
        return {name: tensor for name, tensor in self.state_dict().items() if name != shared}

    def to_config(self) -> tuple[Config, dict[str, Tensor]]:
        """Returns the arguments of ``from_config``: the configuration, as JSON values, and the tensors.

        Raises:
            InputError: The model would not be restored as it is: a part or method was replaced, hooks change results, a
                tensor has another shape or dtype, the vocabulary is of a subclass, or the provenance is not JSON.
        """
        tensors = self.own_tensors()
        return make_config(self, LanguageModel, tensors), tensors

    @classmethod
    @torch.inference_mode(mode=False)  # a model that is loaded in the caller's inference mode could not be trained
    def load(cls, path: str | Path) -> "LanguageModel":
        """Loads a model from a folder, onto the CPU, in ``eval`` mode; runs no code from the folder.

        Raises:
            ModelFolderError: The folder is missing, damaged, or of another format version.
            InputError: ``path`` is not a str or a path.
        """
        config, tensors = read_model_folder(path)
        try:
            return cls.from_config(config, tensors)
        except InputError as error:
            raise ModelFolderError(f"{path}: {error}") from None

    @classmethod
    def from_config(cls, config: Config, tensors: dict[str, Tensor]) -> "LanguageModel":
        """Creates a model, in ``eval`` mode, from an untrusted configuration and tensors.

        The tensors become its parameters and share their memory. Raises InputError if they do not fit the
        configuration, if it does not describe a model, or if a tensor has a value that is not finite.
        """
        check_type(Mapping, config=config, tensors=tensors)
        model = model_without_weights(cls, config, len(tensors))
        if wrong := describe_misfit(model.own_tensors(), tensors):
            raise InputError(f"{WEIGHTS_FILE} does not match {CONFIG_FILE} ({wrong})")
        check_finite(tensors)  # an error when the model is loaded is better than NaN in its first text
        tied = model.tied_output  # before load_state_dict, whose assign=True unties the weights
        model.load_state_dict(tensors, assign=True, strict=not tied)
        if tied and model.embedding is not None:
            model.output.weight = model.embedding.weight
        model.layer.flatten_parameters()  # assign=True has replaced the tensors that cuDNN's flat buffer refers to
        return model.eval()


_OF_MODULE = ("__call__", "__getattr__", "__getattribute__", "_call_impl", "_wrapped_call_impl")
_METHODS = {
    name: value
    for name, value in (vars(LanguageModel) | {name: getattr(LanguageModel, name) for name in _OF_MODULE}).items()
    if name in _OF_MODULE
    or (isinstance(value, FunctionType | property) and not name.startswith(("__", "_repr_")) and name != "save")
}
"""Methods that determine a model's results and what is saved of it, to detect overridden ones."""
_METHODS_OF_STEP = {name: _METHODS[name] for name in (*_OF_MODULE, "forward", "_encode", "_example")}
