"""The language model: one-hot (or embedded) input, a recurrent layer, an output layer."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from charloom.errors import InputError, ModelFolderError
from charloom.layers import CELLS, RNN, RecurrentLayer
from charloom.model_folder import (
    CONFIG_FILE,
    WithoutInitialWeights,
    check_fit,
    misfit,
    read_model_folder,
    write_model_folder,
)
from charloom.model_inputs import check_ids, check_parts, check_range, check_state, check_step
from charloom.native_model import has_forward_hooks, native_backpropagation, native_loss, native_writer, unknown_part
from charloom.predictor import predicting
from charloom.recurrence.dispatch import chosen_kernels
from charloom.recurrence.native_generation import NativeGenerator
from charloom.settings.model import Precision
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import Ids, Inputs, Logits, Scalar, State, StepIds, StepLogits
from charloom.state import map_parts
from charloom.text.vocabulary import Vocabulary


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
        self.embedding = nn.Embedding(len(vocabulary), embedding_size) if embedding_size else None
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(layer.proj_size or layer.hidden_size, len(vocabulary))
        if tied_output and self.embedding is not None:
            self.output.weight = self.embedding.weight
        self.tied_output = tied_output

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self._example.device

    @property
    def precision(self) -> Precision:
        """What is multiplied in training: float32, or bfloat16 with float32 weights (by PyTorch where not natively)."""
        return self.layer.precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        self.layer.precision = precision

    def begin_state(self, batch_size: int) -> State:
        """The zero state: (layers, batch, hidden); for an LSTM a pair of hidden state and memory cell."""
        return self.layer.begin_state(batch_size)

    def forward(self, ids: Ids, state: State | None = None) -> tuple[Logits, State]:
        """Reads ids (batch, steps) from a state, the zero state if None.

        Returns the logits of each next token, (steps, batch, vocabulary), and the state after the last step. Raises
        InputError for ids that are not whole numbers (batch, steps).
        """
        check_ids(ids=ids)
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
        found = native_loss(self, ids, targets, state)
        if found is not None:
            return found
        with self._mixed_precision():
            logits, state = self(ids, state)
        check_range(targets, logits.shape[-1])
        dtype = self._example.dtype
        loss = functional.cross_entropy(logits.to(dtype).flatten(0, 1), targets.t().flatten())
        return loss, map_parts(lambda part: part.detach().to(dtype), state)

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Computes ``loss`` and adds its gradients to the parameters' ``grad``, as ``backward`` does.

        Returns:
            The loss and the last state, both detached.

        Raises:
            InputError: As ``loss``; or this is called within DistributedDataParallel's forward, which would not see
                the gradients: return ``loss`` there.
        """
        if DistributedDataParallel._active_ddp_module is not None:
            raise InputError(
                "backpropagate within DistributedDataParallel leaves each process its own gradients: wrap a module "
                "whose forward returns model.loss(...), and call backward() on that"
            )
        check_step(ids, targets)
        found = native_backpropagation(self, ids, targets, state)
        if found is not None:
            return found
        loss, last = self.loss(ids, targets, state)
        loss.backward()  # type: ignore[no-untyped-call] # torch's
        return loss.detach(), last

    def make_writer(self, precision: GenerationPrecision = "float32") -> NativeGenerator | None:
        """Packs the model's present weights for fast generation; None if the kernels do not cover the model."""
        return native_writer(self, precision)

    def unknown_part(self) -> str | None:
        """Describes what makes this another model than its configuration says; None if nothing does."""
        return unknown_part(self, LanguageModel)

    @property
    def _example(self) -> Tensor:
        """A tensor of the model's device and dtype."""
        return next(self.parameters(), torch.empty(0, dtype=torch.float32, device="cpu"))

    def _mixed_precision(self) -> AbstractContextManager[object]:
        """PyTorch's way to multiply in bfloat16, if the native kernels, which have their own, do not compute."""
        device = self.device
        if self.precision == "float32" or (device.type == "cpu" and chosen_kernels() is not None):
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

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
        write_model_folder(path, *self.disassemble())

    def own_tensors(self) -> dict[str, Tensor]:
        """Returns the ``state_dict``, with tensors that parts share under one name."""
        shared = "output.weight" if self.tied_output else None
        return {name: tensor for name, tensor in self.state_dict().items() if name != shared}

    def disassemble(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Returns the arguments of ``assemble``: configuration, as JSON values, and tensors, shared ones once.

        Raises:
            InputError: The model is not what a configuration can describe, since a part of it was replaced.
        """
        problem, tensors = self.unknown_part(), self.own_tensors()
        if problem is None:
            config = self._config()
            wrong = misfit(_without_weights(LanguageModel, config).own_tensors(), tensors)
            if wrong is None and not (has_forward_hooks(self) and self._differs_from(config, tensors)):
                return config, tensors
            problem = f"{wrong} is not a tensor of such a model, or of another shape" if wrong else "hooks change it"
        raise InputError(
            f"this model cannot be saved as a folder, which would load as another model: {problem}. Remove "
            "parametrizations and pruning masks first (remove_parametrizations, prune.remove), or save its "
            "state_dict with torch.save"
        )

    def _differs_from(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
        plain = LanguageModel.assemble(config, {name: tensor.detach().clone() for name, tensor in tensors.items()})
        ids = torch.arange(len(self.vocabulary), device=self.device).unsqueeze(0)
        with predicting(self):
            return not torch.allclose(self(ids)[0], plain.to(self.device)(ids)[0], equal_nan=True)

    @classmethod
    def load(cls, path: str | Path) -> "LanguageModel":
        """Reads a model from a folder, onto the CPU, ready for use (``eval`` mode).

        Raises ModelFolderError for a folder that is missing, damaged, or of a later format. Runs no code from it.
        """
        config, tensors = read_model_folder(path)
        try:
            return cls.assemble(config, tensors)
        except InputError as error:
            raise ModelFolderError(f"{path}: {error}") from None

    @classmethod
    def assemble(cls, config: Mapping[str, Any], tensors: dict[str, Tensor]) -> "LanguageModel":
        """The model of a configuration and tensors from anywhere. Raises InputError where they make none."""
        try:
            if config["layer"]["num_layers"] > len(tensors):
                raise ValueError("more layers than tensors")
            model = _without_weights(cls, config)
            expected = model.own_tensors()
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
            raise InputError(f"{CONFIG_FILE} does not describe a model ({error!r:.200})") from None
        check_fit(expected, tensors)
        if model.tied_output:
            tensors["output.weight"] = tensors["embedding.weight"]
        model.load_state_dict(tensors, assign=True)
        if model.tied_output and model.embedding is not None:
            model.output.weight = model.embedding.weight
        model.layer.flatten_parameters()
        return model.eval()

    def _config(self) -> dict[str, Any]:
        layer = self.layer
        return {
            "vocabulary": self.vocabulary.to_json(),
            "layer": {
                "cell": layer.mode.split("_")[0].lower(),
                "input_size": layer.input_size,
                "hidden_size": layer.hidden_size,
                "num_layers": layer.num_layers,
                "bias": layer.bias,
                "dropout": layer.dropout,
                **({"nonlinearity": layer.nonlinearity} if isinstance(layer, RNN) else {}),
                **({"proj_size": layer.proj_size} if layer.proj_size else {}),
            },
            "embedding_size": self.embedding.embedding_dim if self.embedding else None,
            "dropout": self.dropout.p,
            "tied_output": self.tied_output,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LanguageModel":
        """A model as ``disassemble`` describes it, with new weights. Raises all sorts of errors for what is none."""
        layer = dict(config["layer"])
        model = cls(
            CELLS[layer.pop("cell")](**layer),
            Vocabulary.from_json(config["vocabulary"]),
            embedding_size=config["embedding_size"],
            dropout=config["dropout"],
            tied_output=config["tied_output"],
        )
        model.provenance = dict(config["provenance"])
        return model


def _without_weights(model_class: type[LanguageModel], config: Mapping[str, Any]) -> LanguageModel:
    # On the meta device nothing is allocated: a hostile config cannot ask for more memory than its file has.
    with torch.device("meta"), WithoutInitialWeights():
        return model_class.from_config(config)
