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
from charloom.model_folder import CONFIG_FILE, WithoutInitialWeights, check_fit, read_model_folder, write_model_folder
from charloom.recurrence import native_step
from charloom.recurrence.dispatch import chosen_kernels, covers, covers_layers
from charloom.recurrence.native_generation import NativeGenerator
from charloom.settings.model import Precision
from charloom.settings.sampling import GenerationPrecision
from charloom.shapes import Ids, Inputs, Logits, Scalar, State, StepIds, StepLogits
from charloom.state import map_parts, parts_of, state_of
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
        _check_layer(layer, embedding_size or len(vocabulary), "embedding_size" if embedding_size else "vocabulary")
        self.layer = layer
        self.vocabulary = vocabulary
        self.provenance: Mapping[str, Any] = {}
        self.embedding = nn.Embedding(len(vocabulary), embedding_size) if embedding_size else None
        self.dropout = nn.Dropout(dropout)
        output_size = layer.proj_size or layer.hidden_size
        self.output = nn.Linear(output_size, len(vocabulary))
        if tied_output:
            if self.embedding is None or embedding_size != output_size:
                raise InputError(
                    f"needs a learned embedding of the layer's output size, {output_size}, not {embedding_size}",
                    setting="tied_output",
                )
            self.output.weight = self.embedding.weight
        self.tied_output = tied_output

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.output.weight.device

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
        if ids.dim() != 2 or ids.dtype != torch.int64:
            raise InputError(f"ids must be int64 (batch, steps), not {ids.dtype} {tuple(ids.shape)}")
        outputs, state = self.layer(self._encode(ids), state)
        return self.output(self.dropout(outputs)), state

    def step(self, ids: StepIds, state: State) -> tuple[StepLogits, State]:
        """Reads one id for each sequence, (batch,); returns logits (batch, vocabulary) and the state."""
        logits, state = self(ids.unsqueeze(1), state)
        return logits[0], state

    def loss(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """Mean cross-entropy in nats of ``targets`` (batch, steps) after ``ids``, and the state, detached.

        Detached, because back-propagation ends at the minibatch's border: the state can be carried into the next call.
        """
        step = self._native_step(ids, targets, state)
        if step is not None:
            loss, last = native_step.native_loss(step)
            return loss, state_of(last)
        with self._mixed_precision():
            logits, state = self(ids, state)
        kind = self.output.weight.dtype
        loss = functional.cross_entropy(logits.to(kind).flatten(0, 1), targets.t().flatten())
        return loss, map_parts(lambda part: part.detach().to(kind), state)

    def backpropagate(self, ids: Ids, targets: Ids, state: State | None = None) -> tuple[Scalar, State]:
        """``loss``, with its gradients added to the parameters' ``grad``, as ``backward`` does.

        The same numbers as by way of autograd, a little faster. Returns the loss and the state, both detached. Raises
        InputError within DistributedDataParallel's forward, which would not see these gradients: return ``loss`` there.
        """
        if DistributedDataParallel._active_ddp_module is not None:
            raise InputError(
                "backpropagate within DistributedDataParallel leaves each process its own gradients: wrap a module "
                "whose forward returns model.loss(...), and call backward() on that"
            )
        step = self._native_step(ids, targets, state)
        if step is None or any(p is not None and _watched(p) for p in step.parameters):
            loss, last_state = self.loss(ids, targets, state)
            loss.backward()  # type: ignore[no-untyped-call] # torch's
            return loss.detach(), last_state
        loss, last = native_step.native_backpropagation(step)
        return loss, state_of(last)

    def make_writer(self, precision: GenerationPrecision = "float32") -> NativeGenerator | None:
        """The model's weights as they are now, packed for fast generation; None where the kernels do not cover it."""
        parameters = self._step_parameters()
        bounded = self.layer.mode != "RNN_RELU"
        if (
            not covers_layers(self.layer.num_layers)
            or self.layer.proj_size
            or not covers(*parameters.tensors())
            or (precision == "int8" and not bounded)
            or self._hooked()
        ):
            return None
        return NativeGenerator(parameters, self.layer.mode, self.layer.num_layers, precision)

    def _step_parameters(self) -> native_step.StepParameters:
        embedding, output = self.embedding, self.output
        weight = None if embedding is None else embedding.weight
        return native_step.StepParameters(weight, self.layer.parameters_in_order(), output.weight, output.bias)

    def _hooked(self) -> bool:
        """Whether someone listens to a part of the model, which a native call would pass by."""
        return any(m is not None and (m._forward_hooks or m._forward_pre_hooks) for m in self._modules.values())

    def _native_step(self, ids: Ids, targets: Ids, state: State | None) -> native_step.Step | None:
        """``loss`` as one native call; None where the kernels do not cover it."""
        layer, dropout = self.layer, self.dropout
        if not torch.is_grad_enabled() or torch.compiler.is_compiling() or not covers_layers(layer.num_layers):
            return None
        parameters = self._step_parameters().in_order()
        parts = parts_of(self.begin_state(len(ids)) if state is None else state)
        if (
            layer.proj_size
            or ids.dtype != torch.int64
            or targets.dtype != torch.int64
            or any(part.requires_grad for part in parts)
            or self._hooked()
            or not covers(*parts, *(p for p in parameters if p is not None))
        ):
            return None
        native_step.check_shapes(ids, targets, parts, (layer.num_layers, len(ids), layer.hidden_size))
        options = native_step.StepOptions(
            layer.mode,
            layer.precision,
            layer.num_layers,
            dropout.p if self.training else 0.0,
            layer.dropout if layer.training else 0.0,
        )
        return native_step.Step(chosen_kernels(), ids, targets, parts, parameters, options)

    def _mixed_precision(self) -> AbstractContextManager[object]:
        """PyTorch's way to multiply in bfloat16, where the native kernels, which have their own, do not compute."""
        if self.precision == "float32" or (self.device.type == "cpu" and chosen_kernels() is not None):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def _encode(self, ids: Ids) -> Inputs:
        """Ids (batch, steps) to what the layer reads, (steps, batch, features)."""
        if self.embedding is not None:
            embedded: Tensor = self.dropout(self.embedding(ids.t()))
            return embedded
        one_hot = torch.zeros(*ids.t().shape, len(self.vocabulary), dtype=self.output.weight.dtype, device=ids.device)
        return one_hot.scatter_(2, ids.t().unsqueeze(2), 1.0)

    def save(self, path: str | Path) -> None:
        """Writes the model to a folder: ``config.json`` and ``model.safetensors``; each file whole or not at all."""
        write_model_folder(path, *self.disassemble())

    def disassemble(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Configuration, as JSON values, and tensors, those that are shared once: ``assemble``'s arguments."""
        shared = "output.weight" if self.tied_output else None
        return self._config(), {name: tensor for name, tensor in self.state_dict().items() if name != shared}

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
            # On the meta device nothing is allocated: a hostile config cannot ask for more memory than its file has.
            with torch.device("meta"), WithoutInitialWeights():
                model = cls.from_config(config)
            expected = model.disassemble()[1]
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


def _watched(parameter: Tensor) -> bool:
    """Whether someone is to be told of its gradient."""
    return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)


def _check_layer(layer: Any, input_size: int, source: str) -> None:
    if not isinstance(layer, RecurrentLayer):
        raise InputError(f"the layer is a {type(layer).__name__}: give a charloom.layers.RNN, GRU or LSTM")
    if layer.bidirectional:
        raise InputError("the layer is bidirectional: a language model must not see what it predicts")
    if layer.batch_first:
        raise InputError("the layer is batch_first: make it time first; the model lays out its inputs itself")
    if layer.input_size != input_size:
        raise InputError(f"the layer's input_size is {layer.input_size}: it must be the {source}'s size, {input_size}")
