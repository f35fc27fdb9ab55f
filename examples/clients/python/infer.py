"""Lists a model's versions, asks it about handwritten digits, and shows what a refusal looks like.

Usage: MILL_API_KEY=... python infer.py [host:port] [model]
"""

import array
import os
import sys

import grpc

# Generated from protos/, see README.md.
from inference import grpc_service_pb2 as oip
from inference import grpc_service_pb2_grpc as oip_grpc
from modelmill.v1 import registry_pb2 as registry
from modelmill.v1 import registry_pb2_grpc as registry_grpc

# Two pictures of 8 by 8 pixels from 0 to 16: a 0 and a 1.
ZERO = [
    *(0, 0, 5, 13, 9, 1, 0, 0),
    *(0, 0, 13, 15, 10, 15, 5, 0),
    *(0, 3, 15, 2, 0, 11, 8, 0),
    *(0, 4, 12, 0, 0, 8, 8, 0),
    *(0, 5, 8, 0, 0, 9, 8, 0),
    *(0, 4, 11, 0, 1, 12, 7, 0),
    *(0, 2, 14, 5, 10, 12, 0, 0),
    *(0, 0, 6, 13, 10, 0, 0, 0),
]
ONE = [
    *(0, 0, 0, 12, 13, 5, 0, 0),
    *(0, 0, 0, 11, 16, 9, 0, 0),
    *(0, 0, 3, 15, 16, 6, 0, 0),
    *(0, 7, 15, 16, 16, 2, 0, 0),
    *(0, 0, 1, 16, 16, 3, 0, 0),
    *(0, 0, 1, 16, 16, 6, 0, 0),
    *(0, 0, 1, 16, 16, 6, 0, 0),
    *(0, 0, 0, 11, 16, 10, 0, 0),
]

# A call without a deadline waits for as long as the server takes.
DEADLINE_SECONDS = 10


def main(address="127.0.0.1:8081", model="digits"):
    # The key travels with every call. Lower case: gRPC refuses other header names.
    key = [("authorization", f"Bearer {os.environ['MILL_API_KEY']}")]
    with grpc.insecure_channel(address) as channel:
        list_versions(registry_grpc.ModelRegistryStub(channel), key, model)
        inference = oip_grpc.GRPCInferenceServiceStub(channel)
        infer_typed(inference, key, model)
        infer_raw(inference, key, model)
        show_refusal(inference, key, model)


def list_versions(stub, key, model):
    found = stub.GetModel(registry.GetModelRequest(model=model), metadata=key, timeout=DEADLINE_SECONDS).model
    for version in found.versions:
        state = registry.VersionState.Name(version.state).removeprefix("VERSION_STATE_").lower()
        print(f"version {version.version}: {state}, {version.size_bytes} bytes, {version.lineage.method}")
    for label in found.labels:
        print(f"label {label.name}: version {', '.join(target.version for target in label.targets)}")


def infer_typed(stub, key, model):
    """Numbers in the field that fits the datatype: simplest to write."""
    request = oip.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[1, 64]).contents.fp32_contents.extend(ZERO)
    answer = stub.ModelInfer(request, metadata=key, timeout=DEADLINE_SECONDS)
    print_digits("typed", answer)


def infer_raw(stub, key, model):
    """Little-endian bytes, one entry per input: fastest. Here two pictures in one request."""
    request = oip.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[2, 64])
    request.raw_input_contents.append(to_bytes([*ZERO, *ONE]))
    answer = stub.ModelInfer(request, metadata=key, timeout=DEADLINE_SECONDS)
    print_digits("raw", answer)


def show_refusal(stub, key, model):
    """A shape that the model does not take: the status says what to do, the message says what is wrong."""
    request = oip.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[1, 63]).contents.fp32_contents.extend(ZERO[:63])
    try:
        stub.ModelInfer(request, metadata=key, timeout=DEADLINE_SECONDS)
    except grpc.RpcError as error:
        print(f"refused: {error.code().name}: {error.details()}")


def print_digits(form, answer):
    # Answers come as raw bytes, whatever form the question had: one entry per output, in the order of the outputs.
    at = next(i for i, output in enumerate(answer.outputs) if output.name == "probabilities")
    rows, classes = answer.outputs[at].shape
    probabilities = from_bytes(answer.raw_output_contents[at])
    for row in range(rows):
        scores = probabilities[row * classes : (row + 1) * classes]
        best = max(range(classes), key=scores.__getitem__)
        print(f"{form}: version {answer.model_version} sees a {best} with probability {scores[best]:.4f}")


def to_bytes(numbers):
    floats = array.array("f", numbers)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tobytes()


def from_bytes(raw):
    floats = array.array("f", raw)
    if sys.byteorder == "big":
        floats.byteswap()
    return floats


if __name__ == "__main__":
    main(*sys.argv[1:])
