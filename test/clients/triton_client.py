"""Goes through tritonclient's gRPC, HTTP and asyncio clients, as their samples do. Prints what each answered."""

import asyncio
import json
import queue
import sys
from functools import partial

import numpy
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as grpcaio
import tritonclient.http as httpclient
import tritonclient.http.aio as httpaio
from tritonclient.utils import InferenceServerException

grpc_address, http_address, key = sys.argv[1:]
headers = {"authorization": f"Bearer {key}"}
numbers = numpy.array([[1, 2, 3, 4]], numpy.float32)
texts = numpy.array(["", "ä", "text"], dtype=object)


def tensor(package, name, data, datatype):
    found = package.InferInput(name, list(data.shape), datatype)
    found.set_data_from_numpy(data)
    return found


def sync(package, address):
    client = package.InferenceServerClient(address)
    ask = lambda: dict(headers=dict(headers))  # the HTTP client adds to the headers it is given
    assert client.is_server_live(**ask()) and client.is_server_ready(**ask()) and client.is_model_ready("classes", **ask())
    client.unregister_system_shared_memory(**ask())
    client.unregister_cuda_shared_memory(**ask())
    client.get_server_metadata(**ask()), client.get_model_metadata("classes", **ask())
    client.get_model_config("classes", **ask()), client.get_inference_statistics("classes", **ask())
    client.get_model_repository_index(**ask()), client.get_trace_settings(**ask()), client.get_log_settings(**ask())
    inputs = [tensor(package, "input", numbers, "FP32")]
    more = dict(request_compression_algorithm="gzip", response_compression_algorithm="gzip") if package is httpclient else dict(compression_algorithm="gzip")
    plain = client.infer("classes", inputs, request_id="1", priority=1, timeout=1_000_000, **ask())
    packed = client.infer("classes", inputs, **more, **ask())
    best = client.infer("classes", inputs, outputs=[package.InferRequestedOutput("probabilities", class_count=2)], **ask())
    strings = client.infer("texts", [tensor(package, "x", texts, "BYTES")], **ask()).as_numpy("y")
    try:
        client.load_model("no-such-model", **ask())
        load = "loaded"
    except InferenceServerException as error:
        load = "failed to load" in error.message()
    client.unload_model("same", **ask())
    unloaded = not client.is_model_ready("same", **ask())
    client.load_model("same", **ask())
    return dict(
        values=plain.as_numpy("probabilities").tolist()[0],
        same=plain.as_numpy("probabilities").tolist() == packed.as_numpy("probabilities").tolist(),
        best=best.as_numpy("probabilities").tolist()[0][0].decode().split(":")[1],
        texts=[text.decode() for text in strings.tolist()],
        load=load,
        reloaded=unloaded and client.is_model_ready("same", **ask()),
    )


def stream():
    answers = queue.Queue()
    client = grpcclient.InferenceServerClient(grpc_address)
    client.start_stream(callback=partial(lambda into, result, error: into.put((result, error)), answers), headers=headers)
    for number in range(5):
        client.async_stream_infer("classes", [tensor(grpcclient, "input", numbers, "FP32")], request_id=str(number))
    seen = [answers.get(timeout=10)[0].get_response().id for _ in range(5)]
    client.stop_stream()
    return seen


async def later(package, kind, address):
    client = kind.InferenceServerClient(address)
    result = await client.infer("classes", [tensor(package, "input", numbers, "FP32")], headers=dict(headers))
    await client.close()
    return result.as_numpy("probabilities").tolist()[0]


print(
    json.dumps(
        dict(
            grpc=sync(grpcclient, grpc_address),
            http=sync(httpclient, http_address),
            stream=stream(),
            grpc_aio=asyncio.run(later(grpcclient, grpcaio, grpc_address)),
            http_aio=asyncio.run(later(httpclient, httpaio, http_address)),
        )
    )
)
