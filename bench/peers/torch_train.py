"""Trains a network of bench/src/networks.ts with PyTorch eager, on request.

Reads lines `<network> <steps>` and answers each with examples per second. One batch, Adam.
"""

import sys
import time

import torch
from torch import nn

torch.set_num_threads(int(sys.argv[1]))
batch_size, text_batch_size = 64, 32


def conv(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]


class TextClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(10_000, 128), nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Linear(128, 2)

    def forward(self, tokens):
        _, (last, _) = self.lstm(self.embedding(tokens))
        return self.head(last[0])


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
    "lstm": TextClassifier,
}
x = torch.arange(batch_size * 64, dtype=torch.float32).remainder(17).reshape(batch_size, 64)
targets = torch.arange(batch_size).remainder(10)
texts = (torch.arange(text_batch_size * 64) * 7919).remainder(10_000).reshape(text_batch_size, 64)
text_targets = torch.arange(text_batch_size).remainder(2)
made = {name: make() for name, make in networks.items()}
optimizers = {name: torch.optim.Adam(network.parameters(), 0.001) for name, network in made.items()}

print("ready", flush=True)
for line in sys.stdin:
    name, steps = line.split()
    network, optimizer = made[name], optimizers[name]
    features, wanted = (texts, text_targets) if name == "lstm" else (x, targets)
    started = time.perf_counter()
    for _ in range(int(steps)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(features), wanted).backward()
        optimizer.step()
    print(len(wanted) * int(steps) / (time.perf_counter() - started), flush=True)
