"""Asks a model about one digit through Triton's published clients: gRPC, HTTP with binary tensors, HTTP with JSON."""

import json
import sys

import numpy
import tritonclient.grpc
import tritonclient.http

grpc_address, http_address, key, pixels = sys.argv[1:]
authorization = {"authorization": f"Bearer {key}"}
digit = numpy.array([json.loads(pixels)], numpy.float32)


def ask(package, address, **how):
    headers = dict(authorization)  # the HTTP client adds to the one it is given
    client = package.InferenceServerClient(address)
    assert client.is_model_ready("digits", headers=headers)
    tensor = package.InferInput("input", digit.shape, "FP32")
    tensor.set_data_from_numpy(digit, **how)
    outputs = [package.InferRequestedOutput("probabilities", **({"binary_data": how["binary_data"]} if how else {}))]
    return client.infer("digits", [tensor], outputs=outputs, headers=headers).as_numpy("probabilities").tolist()[0]


print(
    json.dumps(
        {
            "grpc": ask(tritonclient.grpc, grpc_address),
            "binary": ask(tritonclient.http, http_address, binary_data=True),
            "json": ask(tritonclient.http, http_address, binary_data=False),
        }
    )
)
