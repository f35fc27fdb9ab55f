"""Writes packages/autodiff/src/torch-recurrent-vectors.json: states and gradients of recurrent networks by PyTorch.

    python bench/peers/make_torch_recurrent_vectors.py        # with torch 2.13 (CPU) installed

Everything is float32 on one thread, laid out as ONNX's operators take it: gates i, o, f, c of an LSTM and z, r, h of a
GRU, a leading axis of directions. PyTorch's GRU resets after the product; the other form is written out here.
"""

import json
import pathlib

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(12)
time, batch, width, hidden = 7, 3, 5, 4
order = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def gates(op, tensor):
    """PyTorch's order of gates from ONNX's, along the first axis."""
    parts = tensor.chunk(len(order[op]))
    return torch.cat([parts[order[op].index(i)] for i in range(len(parts))])


def reset_before(x, w, r, b, h):
    """GRU of linear_before_reset 0 as the ONNX operator defines it."""
    (wz, wr, wh), (rz, rr, rh), (bz, br, bh, cz, cr, ch) = w.chunk(3), r.chunk(3), b.chunk(6)
    states = []
    for step in x:
        z = torch.sigmoid(step @ wz.T + h @ rz.T + bz + cz)
        reset = torch.sigmoid(step @ wr.T + h @ rr.T + br + cr)
        n = torch.tanh(step @ wh.T + (reset * h) @ rh.T + ch + bh)
        h = (1 - z) * n + z * h
        states.append(h)
    return torch.stack(states), h


def one_way(op, after, x, w, r, b, h, c):
    """States of all steps, the last state and, of an LSTM, the last cell."""
    if op == "GRU" and not after:
        return reset_before(x, w, r, b, h)
    network = getattr(nn, op)(width, hidden)
    bias_w, bias_r = b.chunk(2)
    parameters = {
        "weight_ih_l0": gates(op, w),
        "weight_hh_l0": gates(op, r),
        "bias_ih_l0": gates(op, bias_w),
        "bias_hh_l0": gates(op, bias_r),
    }
    state = (h[None], c[None]) if op == "LSTM" else h[None]
    y, last = torch.func.functional_call(network, parameters, (x, state))
    return (y, last[0][0], last[1][0]) if op == "LSTM" else (y, last[0])


def case(op, direction, after=0):
    directions = 2 if direction == "bidirectional" else 1
    rows = len(order[op]) * hidden
    shapes = {
        "x": [time, batch, width],
        "w": [directions, rows, width],
        "r": [directions, rows, hidden],
        "b": [directions, 2 * rows],
        "h": [directions, batch, hidden],
        **({"c": [directions, batch, hidden]} if op == "LSTM" else {}),
    }
    inputs = {name: torch.randn(shape).requires_grad_() for name, shape in shapes.items()}
    x = inputs["x"]
    ways = []
    for way in range(directions):
        backwards = direction == "reverse" or way == 1
        w, r, b, h = (inputs[name][way] for name in "wrbh")
        c = inputs["c"][way] if op == "LSTM" else None
        y, *last = one_way(op, after, x.flip(0) if backwards else x, w, r, b, h, c)
        ways.append((y.flip(0) if backwards else y, *last))
    y = torch.stack([way[0] for way in ways], 1)
    last = [torch.stack([way[i] for way in ways]) for i in range(1, len(ways[0]))]
    output = torch.cat([part.flatten() for part in (y, *last)])
    weights = torch.randn_like(output)
    (output * weights).sum().backward()
    return {
        "name": f"{op}, {direction}{', reset after the product' if after else ''}",
        "op": op,
        "direction": direction,
        "linear_before_reset": after,
        "sizes": {"time": time, "batch": batch, "width": width, "hidden": hidden},
        "inputs": {name: {"values": numbers(v), "gradient": numbers(v.grad)} for name, v in inputs.items()},
        "weights": numbers(weights),
        "output": numbers(output),
    }


directions = ["forward", "reverse", "bidirectional"]
cases = [case(op, direction) for op in order for direction in directions]
cases += [case("GRU", direction, 1) for direction in directions]
target = pathlib.Path(__file__).parents[2] / "packages/autodiff/src/torch-recurrent-vectors.json"
target.write_text(json.dumps({"torch": torch.__version__.split("+")[0], "cases": cases}) + "\n")
print(f"{target.name}: {len(cases)} cases, {target.stat().st_size} bytes")
