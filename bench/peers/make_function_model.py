"""Writes packages/autodiff/src/function-model.json: a small model of model-local functions, and the same model as the onnx
package writes its functions out. Needs onnx and numpy. Base64 of the files.

    python bench/peers/make_function_model.py packages/autodiff/src/function-model.json
"""

import base64
import json
import sys

import numpy as np
import onnx
from onnx import helper as h
from onnx import inliner

SET = [h.make_opsetid("", 18), h.make_opsetid("local", 1)]


def reference(name, of, kind):
    made = onnx.AttributeProto(name=name, ref_attr_name=of, type=kind)
    return made


def node(op, inputs, outputs, domain="", references=(), **attributes):
    made = h.make_node(op, inputs, outputs, domain=domain, **attributes)
    made.attribute.extend(references)
    return made


def functions():
    dense = h.make_function(
        "local",
        "Dense",
        ["x", "w", "b"],
        ["y"],
        [node("Gemm", ["x", "w", "b"], ["y"], references=[reference("transB", "turned", onnx.AttributeProto.INT)])],
        SET,
        attributes=["turned"],
    )
    leaky = node("LeakyRelu", ["h"], ["y"], references=[reference("alpha", "slope", onnx.AttributeProto.FLOAT)])
    block = h.make_function(
        "local",
        "Block",
        ["x", "w", "b"],
        ["y", "h"],
        [
            node("Dense", ["x", "w", "b"], ["h"], "local", [reference("turned", "turned", onnx.AttributeProto.INT)]),
            leaky,
        ],
        SET,
        attributes=["turned"],
        attribute_protos=[h.make_attribute("slope", 0.3)],
    )
    return [dense, block]


def main(path):
    random = np.random.default_rng(5)
    weights = {
        "w1": random.normal(size=(6, 5)),
        "b1": random.normal(size=5),
        "w2": random.normal(size=(5, 5)),
        "w3": random.normal(size=(3, 5)),
        "b3": random.normal(size=3),
    }
    nodes = [
        node("Block", ["x", "w1", "b1"], ["h", "unread"], "local", slope=0.1, turned=0),
        # no addend, the slope that is usual, a second output
        node("Block", ["h", "w2"], ["deep", "before"], "local"),
        node("Add", ["deep", "before"], ["sum"]),
        node("Dense", ["sum", "w3", "b3"], ["logits"], "local", turned=1),
    ]
    graph = h.make_graph(
        nodes,
        "functions",
        [h.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 6])],
        [h.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = h.make_model(graph, opset_imports=SET, functions=functions(), ir_version=9)
    onnx.checker.check_model(model)
    written = inliner.inline_local_functions(model)
    # onnx 1.23 leaves out a function's default, which ONNX Runtime keeps to
    for each in written.graph.node:
        if each.op_type == "LeakyRelu" and not each.attribute:
            each.attribute.append(h.make_attribute("alpha", 0.3))
    files = {"calls": model, "flat": written}
    text = {name: base64.b64encode(file.SerializeToString()).decode() for name, file in files.items()}
    with open(path, "w", encoding="utf8") as out:
        json.dump(text, out, indent=2)
        out.write("\n")


main(sys.argv[1])
