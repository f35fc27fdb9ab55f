"""Quantizes a small network with ONNX Runtime's quantize_static (U8S8, per channel, MinMax, QDQ); JSON to stdout."""

import base64
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator

rng = np.random.default_rng(3)


def constant(name, *dims):
    fan_in = int(np.prod(dims[1:])) or 1
    spread = np.exp(rng.normal(size=(dims[0],) + (1,) * (len(dims) - 1)))
    return numpy_helper.from_array((rng.normal(size=dims) * spread / np.sqrt(fan_in)).astype(np.float32), name)


node = helper.make_node
nodes = [
    node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
    node("Relu", ["c1"], ["r1"], "relu1"),
    node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1, 1, 1, 1], group=8),
    node("Conv", ["c2", "w3"], ["c3"], "conv3"),
    node("Add", ["c3", "r1"], ["sum"], "add"),
    node("Relu", ["sum"], ["r2"], "relu2"),
    node("GlobalAveragePool", ["r2"], ["mean"], "mean"),
    node("Flatten", ["mean"], ["flat"], "flatten"),
    node("Gemm", ["flat", "w4", "b4"], ["y"], "dense", transB=1),
]
constants = [
    constant("w1", 8, 3, 3, 3),
    constant("b1", 8),
    constant("w2", 8, 1, 3, 3),
    constant("b2", 8),
    constant("w3", 8, 8, 1, 1),
    constant("w4", 5, 8),
    constant("b4", 5),
]
value = helper.make_tensor_value_info
graph = helper.make_graph(
    nodes, "net", [value("x", TensorProto.FLOAT, ["n", 3, 9, 9])], [value("y", TensorProto.FLOAT, ["n", 5])], constants
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
inputs = rng.normal(size=(6, 3, 9, 9)).astype(np.float32)


class Rows(CalibrationDataReader):
    def __init__(self):
        self.rows = iter([{"x": inputs}])

    def get_next(self):
        return next(self.rows, None)


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


with tempfile.TemporaryDirectory() as folder:
    source, target = Path(folder) / "net.onnx", Path(folder) / "int8.onnx"
    onnx.save(model, source)
    calibrator = create_calibrator(source, augmented_model_path=str(Path(folder) / "augmented.onnx"))
    calibrator.collect_data(Rows())
    found = calibrator.compute_data().data.items()
    ranges = {name: [float(np.asarray(end).item()) for end in one.range_value] for name, one in found}
    quantize_static(
        source,
        target,
        Rows(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    quantized = onnx.load(target)
    wanted = InferenceSession(source).run(None, {"x": inputs})[0]
    got = InferenceSession(target).run(None, {"x": inputs})[0]

constants = {i.name: numpy_helper.to_array(i) for i in quantized.graph.initializer}
print(
    json.dumps(
        {
            "model": base64.b64encode(model.SerializeToString()).decode(),
            "inputs": encoded(inputs),
            "ranges": ranges,
            "decibels": float(10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum())),
            "initializers": {
                name: {"type": str(array.dtype), "data": encoded(array)} for name, array in sorted(constants.items())
            },
        },
        indent=1,
    )
)
