"""Writes services/trainer/src/schedule-vectors.json: what torch.optim.lr_scheduler makes of a rate of 1 in 60 steps.

    python bench/peers/make_schedule_vectors.py        # with torch 2.13 (CPU) installed
"""

import json
import pathlib

import torch
from torch.optim import lr_scheduler as s

steps, per_epoch = 60, 5


def rates(make, figures=None):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = make(optimizer)
    seen = []
    for step in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if figures is None:
            schedule.step()
        elif (step + 1) % per_epoch == 0:
            schedule.step(figures[(step + 1) // per_epoch - 1])
    return seen


figures = [1.0, 0.8, 0.81, 0.79995, 0.82, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76]
cases = [
    ["constant", {}, rates(lambda o: s.LambdaLR(o, lambda _: 1))],
    ["step", {"everyEpochs": 3, "gamma": 0.5}, rates(lambda o: s.StepLR(o, 3 * per_epoch, 0.5))],
    ["linear", {"finalShare": 0.2}, rates(lambda o: s.LinearLR(o, 1, 0.2, steps - 1))],
    ["cosine", {"finalShare": 0.1}, rates(lambda o: s.CosineAnnealingLR(o, steps - 1, 0.1))],
    [
        "cosine_restarts",
        {"everyEpochs": 2, "cycleFactor": 2, "finalShare": 0.05},
        rates(lambda o: s.CosineAnnealingWarmRestarts(o, 2 * per_epoch, 2, 0.05)),
    ],
    ["polynomial", {"power": 1.5}, rates(lambda o: s.PolynomialLR(o, steps - 1, 1.5))],
    [
        "one_cycle",
        {"finalShare": 4e-6},
        rates(lambda o: s.OneCycleLR(o, 1.0, total_steps=steps + 1 - 1, pct_start=0.3, cycle_momentum=False)),
    ],
    [
        "plateau",
        {"gamma": 0.5, "patience": 2, "finalShare": 0.2},
        rates(lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, min_lr=0.2), figures),
    ],
]
vectors = {
    "torch": torch.__version__.split("+")[0],
    "steps": steps,
    "stepsPerEpoch": per_epoch,
    "figures": figures,
    "cases": [{"kind": kind, "settings": settings, "rates": seen} for kind, settings, seen in cases],
}
target = pathlib.Path(__file__).parents[2] / "services/trainer/src/schedule-vectors.json"
target.write_text(json.dumps(vectors) + "\n")
print(f"{target.name}: {len(cases)} schedules")
