"""Recurrent layers as a model of ONNX operators, for the workers of onnxruntime and OpenVINO."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def onnx_model(row: dict[str, Any]) -> bytes:
    """Returns an ONNX model of the layers with random weights."""
    operator, hidden, batch = row["cell"].upper(), row["hidden"], row["batch"]
    rows = _GATES[operator] * hidden
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    random = np.random.default_rng(0)
    nodes, weights, value = [], [], "x"
    for layer in range(row["layers"]):
        inputs = hidden if layer else row["inputs"]
        shapes = {"W": (1, rows, inputs), "R": (1, rows, hidden), "B": (1, 2 * rows)}
        for name, shape in shapes.items():
            numbers = random.uniform(-1, 1, shape).astype(np.float32) / np.sqrt(hidden, dtype=np.float32)
            weights.append(numpy_helper.from_array(numbers, f"{name}{layer}"))
        attributes = {"hidden_size": hidden} | ({"linear_before_reset": 1} if operator == "GRU" else {})
        given = [value, *(f"{name}{layer}" for name in shapes), "", *(f"{state}{layer}" for state in states)]
        results = [f"y{layer}", *(f"last_{state}{layer}" for state in states)]
        nodes.append(helper.make_node(operator, given, results, **attributes))
        # (steps, directions, batch, hidden) to (steps, batch, hidden)
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "axis"], [f"outputs{layer}"]))
        value = f"outputs{layer}"
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    names = [f"{state}{layer}" for layer in range(row["layers"]) for state in states]
    sizes = {"x": [row["steps"], batch, row["inputs"]], **{name: [1, batch, hidden] for name in names}}
    inputs_of_graph = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in sizes.items()]
    outputs = [helper.make_tensor_value_info(value, TensorProto.FLOAT, [row["steps"], batch, hidden])]
    outputs += [helper.make_tensor_value_info(f"last_{n}", TensorProto.FLOAT, [1, batch, hidden]) for n in names]
    graph = helper.make_graph(nodes, "layers", inputs_of_graph, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()  # type: ignore[no-any-return]
