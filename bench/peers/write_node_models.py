"""Writes ONNX's own node tests, those that take and give floats, as one file of JSON per line: name, the model in base64,
and its inputs. The last line counts the others. Needs onnx and numpy.

    python bench/peers/write_node_models.py OUT.jsonl
"""

import base64
import json
import sys
import warnings

import numpy as np
from onnx.backend.test.case.node import collect_testcases

TYPES = {"float32": "float", "int64": "int64", "int32": "int32", "bool": "bool"}


def tensor(value):
    values = np.asarray(value)
    flat = values.astype(np.float64).ravel().tolist()
    return {"type": TYPES[values.dtype.name], "dims": list(values.shape), "data": flat}


def given(case):
    """Inputs by name, or why there are none to train through."""
    inputs, outputs = case.data_sets[0]
    if any(not isinstance(each, (np.ndarray, np.generic)) for each in [*inputs, *outputs]):
        return "takes or gives no tensors"
    if not any(each.dtype.name == "float32" for each in inputs):
        return "takes no float"
    if not any(each.dtype.name == "float32" for each in outputs):
        return "gives no float"
    if any(each.dtype.name not in TYPES for each in inputs):
        return "takes other types"
    if not all(np.isfinite(each).all() for each in inputs if each.dtype.name == "float32"):
        return "takes infinities or what is no number"
    return {value.name: tensor(each) for value, each in zip(case.model.graph.input, inputs)}


def main(path):
    warnings.simplefilter("ignore")
    others = {}
    with open(path, "w", encoding="utf8") as out:
        for case in collect_testcases(None):
            inputs = given(case)
            if isinstance(inputs, str):
                others[inputs] = others.get(inputs, 0) + 1
                continue
            model = base64.b64encode(case.model.SerializeToString()).decode()
            out.write(json.dumps({"name": case.name, "model": model, "inputs": inputs}, allow_nan=False) + "\n")
        out.write(json.dumps({"others": others}) + "\n")


main(sys.argv[1])
