"""ONNX graphs of recurrent layers and of language models, built node by node with the functions of the package onnx."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from charloom.export.model_parts import Array, RecurrentPart, TokenParts
from charloom_codec.cells import CELL_OF_MODE

_OPSET = 14
_IR_VERSION = 7
"""The version of the file format that came with the operators: later ones exclude older runtimes."""
# The gates are stacked in this order. PyTorch's: (reset, update, candidate); (input, forget, candidate, output).
_GATES = {"RNN_TANH": (0,), "RNN_RELU": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}
"""Places in PyTorch's order of the gates, in the order of ONNX."""
_OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN_TANH": ("RNN", {}),
    "RNN_RELU": ("RNN", {"activations": ["Relu"]}),
    "GRU": ("GRU", {"linear_before_reset": 1}),  # the reset gate multiplies the product, as in PyTorch
    "LSTM": ("LSTM", {}),
}
"""Operator and attributes by ``torch.nn.RNNBase.mode``; activations are those of one direction."""
STATE_NAMES = ("h_0", "c_0"), ("h_n", "c_n")
"""Names of hidden state and cell state, as input and output: those of PyTorch's documentation."""


class _Graph:
    """The nodes and constants of a graph in construction. Values are named; a name is the result of its node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Adds a constant, unless there is one of this name; returns its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node with one output; returns the output's name."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))
        return output


def build_layer(part: RecurrentPart, properties: Mapping[str, str]) -> onnx.ModelProto:
    """Builds the graph of recurrent layers: ``input``, ``h_0`` (and ``c_0``) -> ``output``, ``h_n`` (and ``c_n``)."""
    graph = _Graph()
    steps = "input"
    if part.batch_first:
        steps = graph.node("Transpose", [steps], "input_time_first", perm=[1, 0, 2])
    outputs = _add_layers(graph, part, steps, "output_time_first" if part.batch_first else "output")
    if part.batch_first:
        graph.node("Transpose", [outputs], "output", perm=[1, 0, 2])
    order = ["batch", "time"] if part.batch_first else ["time", "batch"]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [*order, part.input_size])
    found = helper.make_tensor_value_info("output", TensorProto.FLOAT, [*order, part.num_directions * part.hidden_size])
    return _to_model(graph, part, given, found, properties)


def build_language_model(part: RecurrentPart, tokens: TokenParts, properties: Mapping[str, str]) -> onnx.ModelProto:
    """Builds the graph of a language model: ``ids``, ``h_0`` (and ``c_0``) -> ``logits``, ``h_n`` (and ``c_n``)."""
    graph = _Graph()
    size = len(tokens.bias)
    outputs = _add_layers(graph, part, _add_tokens(graph, tokens, size), "hidden")
    if tokens.output is None:
        matrix = graph.node("Transpose", ["embedding"], "output_weight", perm=[1, 0])
    else:
        matrix = graph.constant("output_weight", tokens.output.T)
    products = graph.node("MatMul", [outputs, matrix], "products")
    graph.node("Add", [products, graph.constant("output_bias", tokens.bias)], "logits")
    given = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "time"])
    found = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["time", "batch", size])
    return _to_model(graph, part, given, found, properties)


def _add_tokens(graph: _Graph, tokens: TokenParts, size: int) -> str:
    """Adds the input of the first layer, (time, batch, features), and returns its name."""
    ids = graph.node("Transpose", ["ids"], "ids_time_first", perm=[1, 0])
    # Gather counts a negative index from the end, and OneHot ignores an id that is too large. The model raises an
    # error for both, so that Gather is passed an index that is too large.
    negative = graph.node("Less", [ids, graph.constant("zero", np.array(0))], "is_negative")
    checked = graph.node("Where", [negative, graph.constant("size", np.array(size)), ids], "checked_ids")
    if tokens.embedding is not None:
        return graph.node("Gather", [graph.constant("embedding", tokens.embedding), checked], "embedded")
    known = graph.node("Gather", [graph.constant("all_ids", np.arange(size)), checked], "known_ids")
    values = graph.constant("off_on", np.array([0, 1], np.float32))
    return graph.node("OneHot", [known, graph.constant("size", np.array(size)), values], "one_hot")


def _add_layers(graph: _Graph, part: RecurrentPart, steps: str, output: str) -> str:
    """Adds the recurrent layers to a graph.

    Args:
        graph: The graph.
        part: The layers.
        steps: Name of their input, (time, batch, features).
        output: Name of their output, (time, batch, directions * hidden).

    Returns:
        The name ``output``.
    """
    initial, last = (names[: CELL_OF_MODE[part.mode].state_parts] for names in STATE_NAMES)
    layers = range(part.num_layers)
    # A state is (layers * directions, batch, hidden); each operator has that of one layer.
    before = {name: [f"{name}_l{i}" for i in layers] if part.num_layers > 1 else [name] for name in initial}
    after = {name: [f"{name}_l{i}" for i in layers] if part.num_layers > 1 else [name] for name in last}
    if part.num_layers > 1:
        lengths = graph.constant("directions", np.full(part.num_layers, part.num_directions))
        for name, parts in before.items():
            graph.nodes.append(helper.make_node("Split", [name, lengths], parts, name=f"{name}/Split", axis=0))
    for i in layers:
        states = [parts[i] for parts in before.values()], [parts[i] for parts in after.values()]
        steps = _add_layer(graph, part, i, steps, *states, output if i == layers[-1] else f"output_l{i}")
    if part.num_layers > 1:
        for name, parts in after.items():
            graph.node("Concat", parts, name, axis=0)
    return steps


def _add_layer(
    graph: _Graph, part: RecurrentPart, i: int, steps: str, before: list[str], after: list[str], output: str
) -> str:
    """Adds layer ``i`` in all its directions; returns the name of its output, (time, batch, directions * hidden)."""
    operator, options = _OPERATORS[part.mode]
    cells = part.weights[i * part.num_directions : (i + 1) * part.num_directions]
    matrices = [
        graph.constant(f"W_l{i}", np.stack([_in_onnx_order(part, cell.input) for cell in cells])),
        graph.constant(f"R_l{i}", np.stack([_in_onnx_order(part, cell.hidden) for cell in cells])),
    ]
    biases = [
        np.concatenate([_in_onnx_order(part, cell.input_bias), _in_onnx_order(part, cell.hidden_bias)])
        for cell in cells
        if cell.input_bias is not None and cell.hidden_bias is not None
    ]
    bias = graph.constant(f"B_l{i}", np.stack(biases)) if biases else ""  # "": an optional input that is absent
    attributes = {"hidden_size": part.hidden_size, **options}
    if part.num_directions == 2:
        attributes["direction"] = "bidirectional"
        if "activations" in options:
            attributes["activations"] = options["activations"] * 2
    by_direction = f"{output}_by_direction"  # (time, directions, batch, hidden)
    inputs = [steps, *matrices, bias, "", *before]  # "": all sequences are as long as the input
    graph.nodes.append(helper.make_node(operator, inputs, [by_direction, *after], name=f"layer_{i}", **attributes))
    if part.num_directions == 1:
        return graph.node("Squeeze", [by_direction, graph.constant("axis", np.array([1]))], output)
    by_row = graph.node("Transpose", [by_direction], f"{output}_by_row", perm=[0, 2, 1, 3])
    # 0 keeps a dimension; -1 joins the directions.
    return graph.node("Reshape", [by_row, graph.constant("joined", np.array([0, 0, -1]))], output)


def _in_onnx_order(part: RecurrentPart, stacked: Array) -> Array:
    """Returns weights or biases with the gates in the order of ONNX."""
    gates = stacked.reshape(-1, part.hidden_size, *stacked.shape[1:])
    return gates[list(_GATES[part.mode])].reshape(stacked.shape)


def _to_model(
    graph: _Graph,
    part: RecurrentPart,
    given: onnx.ValueInfoProto,
    found: onnx.ValueInfoProto,
    properties: Mapping[str, str],
) -> onnx.ModelProto:
    """Returns the checked model of a graph, with the state as additional inputs and outputs.

    Args:
        graph: The graph.
        part: Its recurrent layers.
        given: Its first input.
        found: Its first output.
        properties: Metadata by key.
    """
    shape: list[Any] = [part.num_layers * part.num_directions, "batch", part.hidden_size]
    states = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
        for names in (names[: CELL_OF_MODE[part.mode].state_parts] for names in STATE_NAMES)
    ]
    built = helper.make_graph(
        graph.nodes, "charloom", [given, *states[0]], [found, *states[1]], list(graph.constants.values())
    )
    model = helper.make_model(
        built,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="charloom",
        producer_version=properties["charloom"],
    )
    helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    return model
