"""Prints every time a model becomes ready, from the first one that is kept on, until it is interrupted.

A broken connection loses nothing: the next subscription begins after the last event seen.

Usage: MILL_API_KEY=... python watch_events.py [host:port] [filter]
"""

import os
import sys
import time

import grpc
from modelmill.v1 import events_pb2 as events
from modelmill.v1 import events_pb2_grpc as events_grpc

# The gateway is away, or shut down and hung up. Anything else will not go away by itself.
BROKEN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

# A watcher may hear nothing for hours: pings find out whether the other side is still there.
PINGS = [("grpc.keepalive_time_ms", 30_000), ("grpc.http2.max_pings_without_data", 0)]


def main(address="127.0.0.1:8081", pattern="model.*.*.ready"):
    key = [("authorization", f"Bearer {os.environ['MILL_API_KEY']}")]
    with grpc.insecure_channel(address, options=PINGS) as channel:
        for event in subscribe(events_grpc.EventsStub(channel), key, pattern):
            model, version = event.data["model"], event.data["version"]
            print(f"#{event.sequence} model {model} version {version} is ready", flush=True)


def subscribe(stub, key, pattern):
    last = 0  # before the first event that is kept; to hear only of what is new, leave `after_sequence` out at first
    while True:
        request = events.SubscribeRequest(filters=[pattern], after_sequence=last)
        try:
            # No deadline: a subscription has no end. While there is no connection, it waits for one.
            for answer in stub.Subscribe(request, metadata=key, wait_for_ready=True):
                last = answer.event.sequence
                yield answer.event
        except grpc.RpcError as error:
            if error.code() not in BROKEN:
                raise
            print(f"connection lost after #{last}: {error.code().name}", file=sys.stderr, flush=True)
        time.sleep(0.5)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
