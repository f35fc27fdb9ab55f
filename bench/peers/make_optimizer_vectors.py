"""Writes packages/autodiff/src/optimizer-vectors.json: what 50 steps of each optimizer make of a small network.

    python bench/peers/make_optimizer_vectors.py        # with torch 2.13 (CPU) installed

Everything is float32 on one thread. RMSprop, Adagrad, groups, clipping and averages are torch.optim's. Lion and Muon are
written down here from their papers: torch has no Lion, and its Muon iterates in bfloat16.
"""

import json
import pathlib

import torch
from torch import nn

torch.set_num_threads(1)
steps = 50
names = ["layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias"]


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


class Lion:
    def __init__(self, params, lr, betas, weight_decay):
        self.params, self.lr, self.betas, self.decay = params, lr, betas, weight_decay
        self.m = [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self):
        b1, b2 = self.betas
        for p, m in zip(self.params, self.m):
            update = torch.sign(b1 * m + (1 - b1) * p.grad)
            p.copy_(p * (1 - self.lr * self.decay) - self.lr * update)
            m.copy_(b2 * m + (1 - b2) * p.grad)


def newton_schulz(u):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = u / (u.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


class Muon:
    """Matrices [inputs, outputs] of hidden layers by Muon, the rest by AdamW."""

    def __init__(self, hidden, rest, lr, momentum, weight_decay, adam_rate):
        self.hidden, self.lr, self.momentum, self.decay = hidden, lr, momentum, weight_decay
        self.buffers = [torch.zeros_like(p) for p in hidden]
        self.adam = torch.optim.AdamW(rest, lr * adam_rate, betas=(0.9, 0.95), eps=1e-8, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self):
        self.adam.step()
        for p, m in zip(self.hidden, self.buffers):
            m.lerp_(p.grad, 1 - self.momentum)
            update = newton_schulz(p.grad.lerp(m, self.momentum))
            p.copy_(p * (1 - self.lr * self.decay) - self.lr * max(1, p.shape[1] / p.shape[0]) ** 0.5 * update)


def case(name, options, rate, make, before=None):
    torch.manual_seed(5)
    x, y = torch.randn(6, 5), torch.randn(6, 3)
    shapes = [(5, 4), (4,), (4, 3), (3,)]
    params = [nn.Parameter(torch.randn(*shape) * 0.5) for shape in shapes]
    start = {n: numbers(p) for n, p in zip(names, params)}
    optimizer = make(params, rate)
    average = torch.optim.swa_utils.AveragedModel(
        nn.ParameterList(params), multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    average.update_parameters(nn.ParameterList(params))  # the first one copies
    for _ in range(steps):
        for p in params:
            p.grad = None
        ((torch.tanh(x @ params[0] + params[1]) @ params[2] + params[3] - y) ** 2).mean().backward()
        if before:
            before(params)
        optimizer.step()
        average.update_parameters(nn.ParameterList(params))
    end = {n: numbers(p) for n, p in zip(names, params)}
    data = {"x": numbers(x), "y": numbers(y), "start": start, "end": end}
    if options.get("ema"):
        data["average"] = {n: numbers(p) for n, p in zip(names, average.module)}
    return {"name": name, "options": options, "learning_rate": rate, **data}


def grouped(params, lr):
    slow = [{"params": [params[0]], "lr": 0.1 * lr, "weight_decay": 0.3}]
    rest = [{"params": [params[2]]}, {"params": [params[1], params[3]], "weight_decay": 0.0}]
    return torch.optim.AdamW(slow + rest, lr, weight_decay=0.1)


adam = {"kind": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.1}
sgd = {"kind": "sgd", "momentum": 0.9, "nesterov": False}
rms = {"kind": "rms_prop", "decay": 0.99, "epsilon": 1e-8, "momentum": 0}
optim = torch.optim
cases = [
    case("RMSprop", {"optimizer": rms}, 0.01, lambda p, lr: optim.RMSprop(p, lr)),
    case(
        "RMSprop with momentum",
        {"optimizer": {**rms, "momentum": 0.9}},
        0.0003,
        lambda p, lr: optim.RMSprop(p, lr, momentum=0.9),
    ),
    case("Adagrad", {"optimizer": {"kind": "adagrad", "epsilon": 1e-10}}, 0.05, lambda p, lr: optim.Adagrad(p, lr)),
    case(
        "Lion",
        {"optimizer": {"kind": "lion", "beta1": 0.9, "beta2": 0.99, "weightDecay": 0.1}},
        0.0005,
        lambda p, lr: Lion(p, lr, (0.9, 0.99), 0.1),
    ),
    case(
        "Muon",
        {
            "optimizer": {
                "kind": "muon",
                "momentum": 0.95,
                "weightDecay": 0.1,
                "adam": {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8},
                "adamRate": 0.2,
            }
        },
        0.02,
        lambda p, lr: Muon([p[0]], p[1:], lr, 0.95, 0.1, 0.2),
    ),
    case(
        "AdamW in groups that decay matrices alone",
        {
            "optimizer": adam,
            "decayMatricesOnly": True,
            "groups": [{"weights": ["layer0.w*"], "learningRateScale": 0.1, "weightDecay": 0.3}],
        },
        0.02,
        grouped,
    ),
    case(
        "momentum with gradients cut to 0.1 each",
        {"optimizer": sgd, "clipValue": 0.1},
        0.02,
        lambda p, lr: optim.SGD(p, lr, momentum=0.9),
        lambda p: nn.utils.clip_grad_value_(p, 0.1),
    ),
    case(
        "momentum with gradients scaled to a norm of 0.2",
        {"optimizer": sgd, "clipNorm": 0.2},
        0.005,
        lambda p, lr: optim.SGD(p, lr, momentum=0.9),
        lambda p: nn.utils.clip_grad_norm_(p, 0.2),
    ),
    case(
        "Nesterov and an average of the weights",
        {"optimizer": {**sgd, "nesterov": True}, "ema": 0.9},
        0.02,
        lambda p, lr: optim.SGD(p, lr, momentum=0.9, nesterov=True),
    ),
]
vectors = {"torch": torch.__version__.split("+")[0], "steps": steps, "cases": cases}
target = pathlib.Path(__file__).parents[2] / "packages/autodiff/src/optimizer-vectors.json"
target.write_text(json.dumps(vectors) + "\n")
print(f"{target.name}: {len(cases)} cases")
