"""Rows of 4 bits as ONNX Runtime's own quantizer makes them for GatherBlockQuantized:
python make_row_vectors.py > ../../services/optimizer/src/quantize/row-vectors.json

A table of random normal numbers, [9, 52], with a row of zeros, a row of one sign and ties in half steps.
"""

import base64
import json

import numpy as np
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantizer

random = np.random.default_rng(11)
table = random.standard_normal((9, 52)).astype(np.float32)
table[1] = 0
table[2] = np.abs(table[2])
table[3] = (np.arange(52) % 16 - 8) / 2


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


cases = []
for block in [16, 32]:
    for symmetric in [True, False]:
        rows, scales, zeros = DefaultWeightOnlyQuantizer.quantize_ndarray(table, 1, block, symmetric)
        cases.append(
            dict(
                block=block, symmetric=symmetric, columns=52, table=encoded(table), packed=encoded(rows),
                scales=encoded(scales), zeroPoints=None if symmetric else encoded(zeros),
            )
        )
print(json.dumps(cases, indent=1))
