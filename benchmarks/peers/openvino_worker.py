"""OpenVINO worker of the inference benchmark: the same layers as ONNX operators, in float32 on the CPU."""

from typing import Any

import numpy as np
import openvino
from onnx_layers import onnx_model
from worker import Step, serve


def make(row: dict[str, Any]) -> Step:
    """Returns a call of the model."""
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": row["threads"],
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(core.read_model(onnx_model(row)), "CPU", settings).create_infer_request()
    random = np.random.default_rng(1)
    feed = [random.standard_normal(tuple(i.shape)).astype(np.float32) for i in request.model_inputs]
    return lambda: request.infer(feed, share_inputs=True)


if __name__ == "__main__":
    serve(make)
