"""Asks a model through KServe's REST client, V1 and V2, and its gRPC client. Prints what each answered."""

import asyncio
import json
import sys

import numpy
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

grpc_address, rest_url, key = sys.argv[1:]
headers = {"authorization": f"Bearer {key}"}
numbers = numpy.array([[1, 2, 3, 4]], numpy.float32)


def request(binary):
    tensor = InferInput("input", list(numbers.shape), "FP32")
    tensor.set_data_from_numpy(numbers, binary_data=binary)
    return InferRequest(model_name="classes", infer_inputs=[tensor])


def values(answer):
    return next(output for output in answer.outputs if output.name == "probabilities").as_numpy().tolist()[0]


async def main():
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    grpc = InferenceGRPCClient(grpc_address)
    metadata = [("authorization", headers["authorization"])]
    ready = await v2.is_model_ready(rest_url, "classes", headers=headers) and await v2.is_server_ready(rest_url, headers=headers)
    found = dict(
        ready=ready and await v2.is_server_live(rest_url, headers=headers),
        json=values(await v2.infer(rest_url, request(False), model_name="classes", headers=headers)),
        binary=values(await v2.infer(rest_url, request(True), model_name="classes", headers=headers)),
        v1=(await v1.infer(rest_url, {"instances": numbers.tolist()}, model_name="classes", headers=headers))["predictions"][0]["probabilities"],
        grpc=values(await grpc.infer(request(True), headers=metadata)),
    )
    print(json.dumps(found))


asyncio.run(main())
