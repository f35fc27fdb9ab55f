"""nanoGPT's CPU recipe in PyTorch: python nanogpt_reference.py <input.txt> [learning rate] [seed].

Its README names 1.88 as the validation loss after 2,000 iterations, an estimate from 20 random batches. This prints such an
estimate and the loss over the whole validation part, which is what the trainer measures.
"""

import math
import sys

import torch
import torch.nn.functional as F
from torch import nn

from torch_train import Gpt

path, rate, seed = sys.argv[1], float((sys.argv[2:] + ["1e-3"])[0]), int((sys.argv[3:] + ["1337"])[0])
context, batch, steps, warmup = 64, 12, 2000, 100
torch.manual_seed(seed)
text = open(path, encoding="utf-8").read()
letters = {letter: i for i, letter in enumerate(sorted(set(text)))}
tokens = torch.tensor([letters[letter] for letter in text])
train, held = tokens[: int(0.9 * len(tokens))], tokens[int(0.9 * len(tokens)) :]


def windows(part, starts):
    return torch.stack([part[i : i + context] for i in starts]), torch.stack([part[i + 1 : i + context + 1] for i in starts])


def loss_of(model, x, y):
    return F.cross_entropy(model(x), y.flatten())


model = Gpt()
matrices = [weight for weight in model.parameters() if weight.dim() == 2]
vectors = [weight for weight in model.parameters() if weight.dim() < 2]
optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0}], rate, (0.9, 0.99))
for step in range(steps):
    share = (step + 1) / (warmup + 1) if step < warmup else 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    for group in optimizer.param_groups:
        group["lr"] = rate * share
    x, y = windows(train, torch.randint(len(train) - context, (batch,)))
    optimizer.zero_grad()
    loss = loss_of(model, x, y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

model.eval()
with torch.no_grad():
    draws = [loss_of(model, *windows(held, torch.randint(len(held) - context, (batch,)))).item() for _ in range(20)]
    starts = range(0, len(held) - context, context)
    whole = [loss_of(model, *windows(held, starts[i : i + 64])).item() for i in range(0, len(starts), 64)]
print(f"20 batches {sum(draws) / 20:.4f} (from {min(draws):.3f} to {max(draws):.3f}), whole part {sum(whole) / len(whole):.4f}")
