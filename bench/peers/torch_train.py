"""Trains a network of bench/src/races.ts with PyTorch eager: python torch_train.py <network> <threads> [device].

Reads a number of steps per line and answers each with examples per second and the most memory held so far, in MiB.
"""

import math
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, padding=1):
    return [nn.Conv2d(inputs, outputs, 3, padding=padding), nn.ReLU()]


class TextClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(10_000, 128), nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Linear(128, 2)

    def forward(self, tokens):
        _, (last, _) = self.lstm(self.embedding(tokens))
        return self.head(last[0])


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        around = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.around = nn.Identity() if same else nn.Sequential(*around)

    def forward(self, x):
        y = self.norm2(self.second(F.relu(self.norm1(self.first(x)))))
        return F.relu(y + self.around(x))


def resnet():
    stages = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)]
    return nn.Sequential(*stem, *[Residual(*stage) for stage in stages], *end)


class Block(nn.Module):
    def __init__(self, width=128, heads=4):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (p.view(b, t, self.heads, c // self.heads).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(c, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    """nanoGPT's CPU configuration: 4 blocks, 4 heads, width 128, context 64, 65 characters, no biases."""

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(65, 128), nn.Embedding(64, 128)
        self.blocks = nn.Sequential(*[Block() for _ in range(4)])
        self.norm = nn.LayerNorm(128, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, 0, 0.02 / (math.sqrt(8) if name.endswith(("out.weight", "down.weight")) else 1))

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places.weight
        return (self.norm(self.blocks(x)) @ self.tokens.weight.T).reshape(-1, 65)


def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def cnn():
    head = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(nn.Unflatten(1, (1, 28, 28)), *conv(1, 32, 0), *conv(32, 64, 0), *head)


def digits():
    body = [*conv(1, 32), *conv(32, 32), nn.MaxPool2d(2), *conv(32, 64), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *body, *head)


def numbers(*shape):
    return torch.arange(math.prod(shape)).remainder(17).div(17).reshape(shape)


def tokens(vocabulary, *shape):
    return (torch.arange(math.prod(shape)) * 7919).remainder(vocabulary).reshape(shape)


networks = {
    "digits": (digits, numbers(64, 64), 64, 10),
    "mlp": (mlp, numbers(128, 784), 128, 10),
    "cnn": (cnn, numbers(128, 784), 128, 10),
    "gpt": (Gpt, tokens(65, 12, 64), 12 * 64, 65),
    "lstm": (TextClassifier, tokens(10_000, 32, 64), 32, 2),
    "resnet": (resnet, numbers(32, 3, 32, 32), 32, 10),
}

def main():
    torch.set_num_threads(int(sys.argv[2]))
    name = sys.argv[1]
    device = sys.argv[3] if len(sys.argv) > 3 else "cpu"
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, as ONNX Runtime's products there
    make, features, places, classes = networks[name]
    targets = torch.arange(places).remainder(classes)
    network = make().to(device)
    if name == "gpt":
        matrices = [p for p in network.parameters() if p.dim() == 2]
        others = [p for p in network.parameters() if p.dim() != 2]
        groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, 0.001, betas=(0.9, 0.99), weight_decay=0.1)
    else:
        optimizer = torch.optim.Adam(network.parameters(), 0.001)

    print("ready", flush=True)
    for line in sys.stdin:
        steps = int(line)
        started = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(features.to(device)), targets.to(device))
            loss.backward()
            if name == "gpt":
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            loss.item()  # the loss of every step is told
        speed = steps * len(features) / (time.perf_counter() - started)
        print(speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


if __name__ == "__main__":
    main()
