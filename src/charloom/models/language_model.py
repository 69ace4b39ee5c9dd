"""The language model: one-hot (or embedded) input, a recurrent layer, an output layer."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charloom.arguments import check_type
from charloom.errors import InputError, ModelFolderError
from charloom.layers import RecurrentLayer
from charloom.models.checks import check_ids, check_parts, check_range, check_state, check_step
from charloom.models.configuration import config_of, differ, model_without_weights
from charloom.models.folder import Config, check_fit, misfit, read_model_folder, write_model_folder
from charloom.models.fused import native_generator, run_native, unknown_part
from charloom.recurrence.backend import backend
from charloom.recurrence.kernel_calls import NativeGenerator
from charloom.recurrence.state import map_state, state_to_tuple
from charloom.recurrence.torch_internals import has_forward_hooks, is_in_distributed_forward
from charloom.settings.cells import CELL_OF_MODE
from charloom.settings.model import ModelSettings, Precision
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import Ids, Inputs, Logits, Scalar, State, StepIds, StepLogits
from charloom.text.vocabulary import Vocabulary

_NO_TARGET = torch.iinfo(torch.int64).min
"""PyTorch's cross-entropy would ignore targets of -100, its default."""


class LanguageModel(nn.Module):
    """Predicts the next token of a text; meets ``charloom.Predictor``.

    Attributes:
        layer: The recurrent layer.
        vocabulary: The tokens.
        embedding: The learned embedding, or None for one-hot input.
        output: The dense layer from hidden states to logits.
        provenance: How the model came to be, as JSON values: what ``train`` writes of text, settings and results.
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
        """Puts a model around a recurrent layer, whose weights it leaves as they are.

        Args:
            layer: ``charloom.layers.RNN``, ``GRU`` or ``LSTM``, reading forward, time first. Its ``input_size`` is the
                vocabulary's length for one-hot input, else ``embedding_size``.
            vocabulary: What the ids stand for.
            embedding_size: Size of a learned input embedding; None for one-hot.
            dropout: Probability, after the embedding and before the output layer.
            tied_output: Share the embedding's weights with the output layer.

        Raises InputError for a layer that does not fit.
        """
        super().__init__()
        check_parts(layer, vocabulary, embedding_size, dropout, tied_output)
        self.layer = layer
        self.vocabulary = vocabulary
        self.provenance: Mapping[str, Any] = {}
        # Of the layer's device and dtype, whatever the process's defaults are.
        like = state_to_tuple(layer.begin_state(1))[0]
        made: Any = {"device": like.device, "dtype": like.dtype}
        self.embedding = nn.Embedding(len(vocabulary), embedding_size, **made) if embedding_size else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(layer.proj_size or layer.hidden_size, len(vocabulary), **made)
        if tied_output and self.embedding is not None:
            self.output.weight = self.embedding.weight

    @property
    def tied_output(self) -> bool:
        """True if the output layer's weight is the embedding's parameter."""
        return self.embedding is not None and getattr(self.output, "weight", None) is self.embedding.weight

    @property
    def settings(self) -> ModelSettings:
        """Settings that build a model like this; ``init_sigma``, which no model remembers, is the default."""
        layer, cell = self.layer, CELL_OF_MODE[self.layer.mode]
        return ModelSettings(
            cell=cell.setting,
            nonlinearity=cell.nonlinearity,
            hidden_size=layer.hidden_size,
            num_layers=layer.num_layers,
            dropout=max(self.dropout.p, layer.dropout),
            embedding_size=None if self.embedding is None else self.embedding.embedding_dim,
            tied_output=self.tied_output,
        )

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self._example.device

    @property
    def precision(self) -> Precision:
        """What is multiplied in training: float32, or bfloat16 with float32 weights (by PyTorch where not natively)."""
        return getattr(self.layer, "precision", "float32")  # torch.nn's layers have none

    @precision.setter
    def precision(self, precision: Precision) -> None:
        self.layer.precision = precision

    def begin_state(self, batch_size: int) -> State:
        """The zero state: (layers, batch, hidden); for an LSTM a pair of hidden state and memory cell."""
        if not hasattr(self.layer, "begin_state"):  # one of torch.nn's
            return RecurrentLayer.begin_state(self.layer, batch_size)
        return self.layer.begin_state(batch_size)

    def forward(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        """Reads ids (batch, steps) from a state, the zero state if None.

        Returns the logits of each next token, (steps, batch, vocabulary), and the state after the last step. Raises
        InputError for ids that are not whole numbers (batch, steps).
        """
        check_ids(2, ids=ids)
        if state is not None and isinstance(self.layer, RecurrentLayer):
            check_state(state, self.begin_state(max(1, len(ids))))
        try:
            inputs = self._encode(ids)
        except (IndexError, RuntimeError):
            check_range(ids, len(self.vocabulary))
            raise
        outputs, state = self.layer(inputs, state)
        return self.output(self.dropout(outputs)), state

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        """Reads one id for each sequence, (batch,); returns logits (batch, vocabulary) and the state."""
        check_ids(1, ids=ids)
        logits, state = self(ids.unsqueeze(1), state)
        return logits[0], state

    def __prepare_scriptable__(self) -> "LanguageModel":
        """Is called by ``torch.jit.script``, for a module around the model too."""
        raise InputError(
            "torch.jit.script does not take a LanguageModel: script its layer, or take a graph of the model with "
            "torch.jit.trace or torch.export"
        )

    def loss(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Mean cross-entropy in nats of ``targets`` (batch, steps) after ``ids``, and the state, detached.

        Detached, because back-propagation ends at the minibatch's border: the state can be carried into the next call.
        """
        check_step(ids, targets)
        found = run_native(self, ids, targets, state, backpropagate=False)
        if found is not None:
            return found
        with self._mixed_precision():
            logits, state = self(ids, state)
        check_range(targets, logits.shape[-1])
        dtype = self._example.dtype
        logits = logits.to(dtype).flatten(0, 1)
        loss = functional.cross_entropy(logits, targets.t().flatten(), ignore_index=_NO_TARGET)
        return loss, map_state(lambda part: part.detach().to(dtype), state)

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Computes ``loss`` and adds its gradients to the parameters' ``grad``, as ``backward`` does.

        Hooks that are registered on a parameter's ``AccumulateGrad`` node cannot be seen and may not run; for them,
        call ``loss`` and ``backward``.

        Returns:
            The loss and the last state, both detached.

        Raises:
            InputError: As ``loss``; or this is called within DistributedDataParallel's forward, which would not see
                the gradients: return ``loss`` there.
        """
        if is_in_distributed_forward():
            raise InputError(
                "backpropagate within DistributedDataParallel leaves each process its own gradients: wrap a module "
                "whose forward returns model.loss(...), and call backward() on that"
            )
        check_step(ids, targets)
        found = run_native(self, ids, targets, state, backpropagate=True)
        if found is not None:
            return found
        loss, last = self.loss(ids, targets, state)
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        return loss.detach(), last

    def make_generator(self, precision: GenerationPrecision = "float32") -> NativeGenerator | None:
        """Packs the model's present weights for fast generation; None if the kernels do not cover the model."""
        return native_generator(self, precision)

    def unknown_part(self) -> str | None:
        """Describes what makes this another model than its configuration says; None if nothing does."""
        return unknown_part(self, _METHODS)

    @property
    def _example(self) -> Tensor:
        """A tensor of the model's device and dtype."""
        return next(self.parameters(), torch.empty(0, dtype=torch.float32, device="cpu"))

    def _mixed_precision(self) -> AbstractContextManager[object]:
        """PyTorch's way to multiply in bfloat16, if the native kernels, which have their own, do not compute."""
        own = isinstance(self.layer, RecurrentLayer) and self.device.type == "cpu" and backend().kernels is not None
        if self.precision == "float32" or own:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def _encode(self, ids: Ids) -> Inputs:
        """Ids (batch, steps) to what the layer reads, (steps, batch, features)."""
        if self.embedding is not None:
            embedded: Tensor = self.dropout(self.embedding(ids.t()))
            return embedded
        dtype = self._example.dtype
        one_hot = torch.zeros(*ids.t().shape, len(self.vocabulary), dtype=dtype, device=ids.device)
        return one_hot.scatter_(2, ids.t().unsqueeze(2), 1.0)

    def save(self, path: str | Path) -> None:
        """Writes the model to a folder: ``config.json`` and ``model.safetensors``; each file whole or not at all."""
        write_model_folder(path, *self.to_config())

    def own_tensors(self) -> dict[str, Tensor]:
        """Returns the ``state_dict``, with tensors that parts share under one name."""
        shared = "output.weight" if self.tied_output else None
        return {name: tensor for name, tensor in self.state_dict().items() if name != shared}

    def to_config(self) -> tuple[Config, dict[str, Tensor]]:
        """Returns the arguments of ``from_config``: configuration, as JSON values, and tensors, shared ones once.

        Raises:
            InputError: The model is not what a configuration can describe, since a part of it was replaced.
        """
        problem, tensors = self.unknown_part(), self.own_tensors()
        if problem is None:
            config = config_of(self)
            wrong = misfit(model_without_weights(LanguageModel, config, len(tensors)).own_tensors(), tensors)
            if wrong is None and not self._hooks_change_it(config, tensors):
                return config, tensors
            problem = wrong or "hooks change it"
        raise InputError(
            f"this model cannot be saved as a folder, which would load as another model: {problem}. Remove "
            "parametrizations and pruning masks first (remove_parametrizations, prune.remove), or save its "
            "state_dict with torch.save"
        )

    def _hooks_change_it(self, config: Config, tensors: Mapping[str, Tensor]) -> bool:
        if not has_forward_hooks(self):
            return False
        plain = LanguageModel.from_config(config, {name: tensor.detach().clone() for name, tensor in tensors.items()})
        return differ(self, plain.to(self.device))

    @classmethod
    @torch.inference_mode(mode=False)  # in which a loaded model could not be trained
    def load(cls, path: str | Path) -> "LanguageModel":
        """Reads a model from a folder, onto the CPU, ready for use (``eval`` mode).

        Raises ModelFolderError for a folder that is missing, damaged, or of a later format. Runs no code from it.
        """
        config, tensors = read_model_folder(path)
        try:
            return cls.from_config(config, tensors)
        except InputError as error:
            raise ModelFolderError(f"{path}: {error}") from None

    @classmethod
    def from_config(cls, config: Config, tensors: dict[str, Tensor]) -> "LanguageModel":
        """The model of a configuration and tensors from anywhere. Raises InputError if they make none."""
        check_type(Mapping, config=config, tensors=tensors)
        model = model_without_weights(cls, config, len(tensors))
        check_fit(model.own_tensors(), tensors)
        tied = model.tied_output
        model.load_state_dict(tensors, assign=True, strict=not tied)
        if tied and model.embedding is not None:
            model.output.weight = model.embedding.weight
        model.layer.flatten_parameters()
        return model.eval()


_METHODS = {
    name: value
    for name, value in (vars(LanguageModel) | {"__call__": LanguageModel.__call__}).items()
    if name == "__call__"
    or (isinstance(value, FunctionType | property) and not name.startswith("__") and name != "save")
}
"""What a model computes, and what is saved of it."""
