"""Writes packages/autodiff/src/torch-vectors.json: what PyTorch makes of the same networks and optimizers.

    python bench/peers/make_torch_vectors.py        # with torch 2.13 (CPU) installed

Everything is float32 on one thread. Weights are laid out as the ONNX graphs of packages/autodiff have them.
"""

import json
import pathlib

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(11)
steps = 50


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def optimizer_case(name, spec, learning_rate, make):
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    weight, bias = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2))
    start = {"weight": numbers(weight), "bias": numbers(bias)}
    optimizer = make([weight, bias], learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        ((x @ weight + bias - y) ** 2).mean().backward()
        optimizer.step()
    end = {"weight": numbers(weight), "bias": numbers(bias)}
    data = {"x": numbers(x), "y": numbers(y), "start": start, "end": end}
    return {"name": name, "optimizer": spec, "learning_rate": learning_rate, **data}


def adam(weight_decay):
    return {"kind": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": weight_decay}


def sgd(momentum, nesterov=False):
    return {"kind": "sgd", "momentum": momentum, "nesterov": nesterov}


optimizers = [
    optimizer_case("SGD", sgd(0), 0.1, lambda p, lr: torch.optim.SGD(p, lr)),
    optimizer_case("momentum", sgd(0.9), 0.05, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
    optimizer_case("Nesterov", sgd(0.9, True), 0.05, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True)),
    optimizer_case("Adam", adam(0), 0.05, lambda p, lr: torch.optim.Adam(p, lr)),
    optimizer_case("AdamW", adam(0.1), 0.05, lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0.1)),
]


class Turn(nn.Module):
    """A dense layer's weight as [in, out]."""

    def __init__(self, layer):
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().T.contiguous())
        self.bias = nn.Parameter(layer.bias.detach())

    def forward(self, x):
        return x @ self.weight + self.bias


conv1, norm, conv2 = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, stride=2, groups=2)
scale, dense = nn.LayerNorm(24), Turn(nn.Linear(24, 3))
nn.init.normal_(norm.weight), nn.init.normal_(norm.bias), nn.init.normal_(scale.weight), nn.init.normal_(scale.bias)
network = nn.Sequential(
    nn.Unflatten(1, (2, 10, 10)),
    conv1,
    norm,
    nn.GELU(),
    nn.MaxPool2d(2),
    conv2,
    nn.SiLU(),
    nn.Flatten(),
    scale,
    dense,
)
x, targets = torch.randn(5, 200), torch.tensor([0, 2, 1, 1, 0])
loss = nn.functional.cross_entropy(network(x), targets)
loss.backward()
weights = {
    "layer1.weight": conv1.weight,
    "layer1.bias": conv1.bias,
    "layer2.scale": norm.weight,
    "layer2.bias": norm.bias,
    "layer5.weight": conv2.weight,
    "layer5.bias": conv2.bias,
    "layer7.scale": scale.weight,
    "layer7.bias": scale.bias,
    "layer8.weight": dense.weight,
    "layer8.bias": dense.bias,
}

vectors = {
    "torch": torch.__version__.split("+")[0],
    "steps": steps,
    "optimizers": optimizers,
    "network": {
        "x": numbers(x),
        "targets": targets.tolist(),
        "loss": float(loss.detach()),
        "weights": {name: {"values": numbers(w), "gradient": numbers(w.grad)} for name, w in weights.items()},
    },
}
target = pathlib.Path(__file__).parents[2] / "packages/autodiff/src/torch-vectors.json"
target.write_text(json.dumps(vectors) + "\n")
print(f"{target.name}: loss {vectors['network']['loss']:.6f}")
