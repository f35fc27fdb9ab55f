"""Blocks of 2, 4 and 8 bits as ONNX Runtime's own quantizer makes them: python make_nbits_vectors.py > ../../services/optimizer/src/quantize/nbits-vectors.json

Weights are random normal, [52, 6] and [64, 5], with a block of zeros and a block of one sign; K is not always a multiple of
the block.
"""

import base64
import json

import numpy as np
from onnxruntime.capi._pybind_state import quantize_matmul_2bits, quantize_matmul_4bits, quantize_matmul_8bits

random = np.random.default_rng(7)


def encoded(array):
    return base64.b64encode(array.tobytes()).decode()


cases = []
for k, n in [(52, 6), (64, 5)]:
    weights = random.standard_normal((k, n)).astype(np.float32)
    weights[:16, 1] = 0
    weights[:32, 2] = np.abs(weights[:32, 2])
    for bits, quantize in [(2, quantize_matmul_2bits), (4, quantize_matmul_4bits), (8, quantize_matmul_8bits)]:
        for block in [16, 32, 128]:
            for symmetric in [True, False]:
                blocks = -(-k // block)
                packed = np.zeros((n, blocks, block * bits // 8), np.uint8)
                scales = np.zeros((n, blocks), np.float32)
                zeros = np.zeros((n, -(-blocks * bits // 8)), np.uint8)
                quantize(packed, weights, scales, zeros, block, n, k, symmetric)
                cases.append(
                    dict(
                        k=k, n=n, bits=bits, block=block, symmetric=symmetric, weights=encoded(weights),
                        packed=encoded(packed), scales=encoded(scales), zeroPoints=None if symmetric else encoded(zeros),
                    )
                )
print(json.dumps(cases, indent=1))
