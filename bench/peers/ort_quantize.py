"""Quantizes a model with ONNX Runtime's own tools and tells what it took.

python ort_quantize.py static|dynamic|nbits4|nbits8 MODEL RESULT INPUTS SIZES...

INPUTS are float32 values of several examples, each of SIZES (the first of which is the batch of one run). Prints seconds
from file to file, imports left out, and the most memory the process held in MiB.
"""

import json
import resource
import sys
import time

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

form, source, target, inputs, *sizes = sys.argv[1:]
shape = [int(size) for size in sizes]


class Rows(CalibrationDataReader):
    def __init__(self):
        name = onnx.load(source, load_external_data=False).graph.input[0].name
        self.rows = iter([{name: row} for row in np.fromfile(inputs, np.float32).reshape([-1, *shape])])

    def get_next(self):
        return next(self.rows, None)


def static():
    quantize_static(
        source,
        target,
        Rows(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def dynamic():
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gemm"])


def nbits(bits):
    quantizer = MatMulNBitsQuantizer(source, bits=bits, block_size=32, is_symmetric=False, accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(target, False)


forms = {"static": static, "dynamic": dynamic, "nbits4": lambda: nbits(4), "nbits8": lambda: nbits(8)}
start = time.perf_counter()
forms[form]()
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
