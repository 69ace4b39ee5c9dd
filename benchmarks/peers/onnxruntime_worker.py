"""onnxruntime worker of the inference benchmark: the same layers as ONNX operators, on the CPU provider."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx_layers import onnx_model
from onnxruntime.quantization import QuantType, quantize_dynamic
from worker import Step, serve


def _quantized(model: bytes) -> bytes:
    """Returns a model with 8-bit weights and activations that are quantized at run time."""
    with tempfile.TemporaryDirectory() as folder:
        plain, quantized = Path(folder, "plain.onnx"), Path(folder, "quantized.onnx")
        plain.write_bytes(model)
        quantize_dynamic(plain, quantized, per_channel=True, weight_type=QuantType.QInt8)
        result = quantized.read_bytes()
    if b"DynamicQuantizeLSTM" not in result:
        raise ValueError("quantize_dynamic does not convert this layer")
    return result


def make(row: dict[str, Any]) -> Step:
    """Returns a call of the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = row["threads"], 1
    model = onnx_model(row)
    if row["contestant"].endswith("int8"):
        model = _quantized(model)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    feed = {i.name: random.standard_normal(i.shape).astype(np.float32) for i in session.get_inputs()}
    return lambda: session.run(None, feed)


if __name__ == "__main__":
    serve(make)
