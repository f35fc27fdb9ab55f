"""Nodes that onnx-simplifier and OnnxSlim leave, written to test/simplified-peers.json.

    pip install onnx onnxsim onnxslim
    python bench/peers/make_simplify_counts.py ../shared/data/onnx-models/light

The models are those of the ONNX project, with weights in place of the sizes that stand for them, and an encoder in the
form that PyTorch's exporter gives it, which is written beside the counts. Constant nodes are not counted: they are no
work.
"""

import base64
import glob
import json
import os
import sys

import numpy as np
import onnx
import onnxsim
import onnxslim
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(1)
small = ("densenet121", "inception_v2", "resnet50", "shufflenet", "squeezenet")


def with_weights(model):
    graph = model.graph
    sizes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    made = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    for node in made:
        values = random.standard_normal(sizes[node.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(np.abs(values) + 0.5, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    kept = {tensor.name for tensor in graph.initializer} | set(sizes)
    for value in [value for value in graph.input if value.name in kept]:
        graph.input.remove(value)
    model.ir_version = max(model.ir_version, 4)
    return model


def encoder(layers=2, width=16, heads=2):
    """Shapes from shapes, a LayerNormalization in nine nodes, Constant nodes: as torch.onnx.export wrote them for years."""
    nodes, initializers = [], []

    def add(op, inputs, name=None, **attributes):
        name = name or f"{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(values, dtype=np.int64):
        return add("Constant", [], value=numpy_helper.from_array(np.array(values, dtype)))

    def weight(name, *shape):
        values = random.standard_normal(shape).astype(np.float32) / np.sqrt(shape[0])
        initializers.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def size_of(x, axis):
        return add("Gather", [add("Shape", [x]), constant(axis)], axis=0)

    def sizes(*parts):
        axes = constant([0])
        one = lambda part: add("Unsqueeze", [part if isinstance(part, str) else constant(part), axes])
        return add("Concat", [one(part) for part in parts], axis=0)

    def linear(x, name, rows, columns):
        return add("Add", [add("MatMul", [x, weight(f"{name}.w", rows, columns)]), weight(f"{name}.b", columns)])

    def norm(x, name):
        centred = add("Sub", [x, add("ReduceMean", [x], axes=[-1])])
        variance = add("ReduceMean", [add("Pow", [centred, constant(2.0, np.float32)])], axes=[-1])
        deviation = add("Sqrt", [add("Add", [variance, constant(1e-5, np.float32)])])
        scaled = add("Mul", [add("Div", [centred, deviation]), weight(f"{name}.g", width)])
        return add("Add", [scaled, weight(f"{name}.b", width)])

    def parted(x):
        """[batch, time, width] to [batch, heads, time, width / heads]"""
        shape = sizes(size_of(x, 0), size_of(x, 1), heads, add("Div", [size_of(x, 2), constant(heads)]))
        return add("Transpose", [add("Reshape", [x, shape])], perm=[0, 2, 1, 3])

    x = add("Identity", ["x"])
    for i in range(layers):
        n = norm(x, f"{i}.n1")
        q, k, v = (parted(linear(n, f"{i}.{part}", width, width)) for part in "qkv")
        scores = add("MatMul", [q, add("Transpose", [k], perm=[0, 1, 3, 2])])
        scores = add("Div", [scores, add("Sqrt", [constant(width / heads, np.float32)])])
        mixed = add("Transpose", [add("MatMul", [add("Softmax", [scores], axis=-1), v])], perm=[0, 2, 1, 3])
        joined = add("Reshape", [mixed, sizes(size_of(mixed, 0), size_of(mixed, 1), width)])
        x = add("Add", [x, add("Dropout", [linear(joined, f"{i}.o", width, width)])])
        h = add("Relu", [linear(norm(x, f"{i}.n2"), f"{i}.up", width, 4 * width)])
        x = add("Add", [x, add("Cast", [linear(h, f"{i}.down", 4 * width, width)], to=TensorProto.FLOAT)])
    add("Identity", [x], name="y")
    shape = ["batch", "time", width]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def count(model):
    return sum(node.op_type != "Constant" for node in model.graph.node)


def counts(model):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    simplified, same = onnxsim.simplify(model)
    assert same
    return {"nodes": count(model), "onnxsim": count(simplified), "onnxslim": count(onnxslim.slim(copy))}


written = encoder()
found = {"encoder": counts(written)}
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.onnx"))):
    if any(name in path for name in small):
        found[os.path.basename(path)[: -len(".onnx")]] = counts(with_weights(onnx.load(path)))
versions = {"onnx": onnx.__version__, "onnxsim": onnxsim.__version__, "onnxslim": onnxslim.__version__}
vectors = {"versions": versions, "encoder": base64.b64encode(written.SerializeToString()).decode(), "counts": found}
with open("test/simplified-peers.json", "w") as file:
    json.dump(vectors, file, indent=2)
    file.write("\n")
print(json.dumps(found, indent=2))
