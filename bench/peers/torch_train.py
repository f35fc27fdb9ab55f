"""Trains a network of bench/src/networks.ts with PyTorch eager, on request.

Reads lines `<network> <steps>` and answers each with examples per second. One batch of 64, Adam.
"""

import sys
import time

import torch
from torch import nn

torch.set_num_threads(int(sys.argv[1]))
batch_size = 64


def conv(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


networks = {
    "digits": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        *conv(1, 32),
        *conv(32, 32),
        nn.MaxPool2d(2),
        *conv(32, 64),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    ),
    "mlp": lambda: nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)),
}
x = torch.arange(batch_size * 64, dtype=torch.float32).remainder(17).reshape(batch_size, 64)
targets = torch.arange(batch_size).remainder(10)
made = {name: make() for name, make in networks.items()}
optimizers = {name: torch.optim.Adam(network.parameters(), 0.001) for name, network in made.items()}

print("ready", flush=True)
for line in sys.stdin:
    name, steps = line.split()
    network, optimizer = made[name], optimizers[name]
    started = time.perf_counter()
    for _ in range(int(steps)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), targets).backward()
        optimizer.step()
    print(batch_size * int(steps) / (time.perf_counter() - started), flush=True)
