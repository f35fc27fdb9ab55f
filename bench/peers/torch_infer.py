"""Answers with a network of bench/src/shapes.ts in PyTorch eager: python torch_infer.py <device>.

Reads a shape, rows of an answer and a number of answers per line, each from an input in main memory to an output there, one
after another, and says how many rows a second that were, and the milliseconds of the middle one and of 99 in 100. Products may use TF32, as ONNX Runtime's on CUDA do.
"""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, first):
        super().__init__()
        self.convs = nn.Sequential(
            conv(inputs, width, 1), nn.ReLU(), conv(width, width, 3, stride), nn.ReLU(), conv(width, 4 * width, 1)
        )
        self.around = conv(inputs, 4 * width, 1, stride) if first else nn.Identity()

    def forward(self, x):
        return F.relu(self.convs(x) + self.around(x))


def resnet50():
    """Batch normalizations folded, as in shapes.ts."""
    layers, channels = [conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        for block in range(blocks):
            layers.append(Bottleneck(channels, 64 << stage, 2 if stage > 0 and block == 0 else 1, block == 0))
            channels = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Layer(nn.Module):
    def __init__(self, width=768, heads=12):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (p(x).view(b, t, self.heads, -1).transpose(1, 2) for p in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, c)
        x = self.norm1(self.out(mixed) + x)
        return self.norm2(self.down(F.gelu(self.up(x))) + x)


def mlp():
    layers = [layer for _ in range(8) for layer in (nn.Linear(1024, 1024), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


networks = {
    "resnet50": (resnet50, (3, 224, 224)),
    "bert": (lambda: nn.Sequential(*[Layer() for _ in range(6)]), (128, 768)),
    "mlp": (mlp, (1024,)),
}


@torch.inference_mode()
def main():
    device = sys.argv[1]
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
    made = {}
    print("ready", flush=True)
    for line in sys.stdin:
        name, batch, answers = line.split()
        if name not in made:
            made[name] = networks[name][0]().to(device).eval()
        network, features = made[name], torch.rand(int(batch), *networks[name][1])
        times = []
        for _ in range(int(answers)):
            started = time.perf_counter()
            network(features.to(device)).cpu()
            times.append(time.perf_counter() - started)
        times.sort()
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        print(len(times) * int(batch) / sum(times), p50 * 1000, p99 * 1000, flush=True)


if __name__ == "__main__":
    main()
