"""Exports a small ResNet and a small encoder of the BERT kind as PyTorch does, with what they answer and a task for each.

    python bench/peers/export_models.py FOLDER        # with torch and onnx installed

Per model: NAME.onnx, and NAME.json of `inputs` and `outputs` (what PyTorch answers) and of `train` and `test`, each `features`
and `targets` of a task the model has not seen. Numbers are listed row by row.
"""

import json
import math
import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(5)
torch.set_num_threads(1)
vocabulary, context, width = 512, 12, 64


class Block(nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        same = into == out and stride == 1
        self.around = None if same else nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.around is None else self.around(x)))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2))
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        x = self.blocks(self.pool(F.relu(self.norm(self.stem(x)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Layer(nn.Module):
    def __init__(self, heads=4):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.output, self.norm1 = nn.Linear(width, width), nn.LayerNorm(width)
        self.up, self.down, self.norm2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        def split(y):
            return y.view(x.size(0), x.size(1), self.heads, width // self.heads).transpose(1, 2)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        shares = F.softmax(q @ k.transpose(-1, -2) / math.sqrt(width // self.heads), dim=-1)
        joined = (self.dropout(shares) @ v).transpose(1, 2).reshape(x.size(0), x.size(1), width)
        x = self.norm1(x + self.dropout(self.output(joined)))
        return self.norm2(x + self.dropout(self.down(F.gelu(self.up(x)))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.pooler, self.classifier = nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, tokens):
        x = self.norm(self.words(tokens) + self.places(torch.arange(tokens.size(1))))
        for layer in self.layers:
            x = layer(x)
        return self.classifier(torch.tanh(self.pooler(x.mean(1))))


def bars(count):
    """Noise with a bright row, column or diagonal, or none."""
    images, kinds = 0.5 * torch.randn(count, 1, 12, 12), torch.randint(4, (count,))
    for image, kind in zip(images, kinds.tolist()):
        at = int(torch.randint(2, 10, ()))
        if kind == 0:
            image[0, at] += 1.5
        elif kind == 1:
            image[0, :, at] += 1.5
        elif kind == 2:
            image[0] += 1.5 * torch.eye(12)
    return images, kinds


def texts(count):
    """Whether one of the tokens 0 to 15 occurs."""
    tokens, kinds = torch.randint(16, vocabulary, (count, context)), torch.randint(2, (count,))
    for row, kind in zip(tokens, kinds.tolist()):
        if kind == 1:
            at = torch.randperm(context)[:3]
            row[at] = torch.randint(0, 16, (3,))
    return tokens, kinds


def numbers(tensor):
    return [float(f"{value:.8g}") for value in tensor.detach().flatten().tolist()]


def export(folder, name, model, task, shape):
    features, _ = task(64)
    model.train()
    for _ in range(20):  # statistics of batch normalization
        model(task(64)[0])
    model.eval()
    inputs = features[:5]
    torch.onnx.export(
        model, (inputs,), str(folder / f"{name}.onnx"), input_names=["input"], output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # keeps batch normalizations apart
    )  # fmt: skip
    splits = {split: {"features": numbers(x), "targets": y.tolist()} for split, (x, y) in
              [("train", task(512)), ("test", task(256))]}
    with torch.no_grad():
        answers = {"shape": shape, "inputs": numbers(inputs), "outputs": numbers(model(inputs))}
    (folder / f"{name}.json").write_text(json.dumps({**answers, **splits}))


folder = pathlib.Path(sys.argv[1])
export(folder, "resnet", ResNet(), bars, [1, 12, 12])
export(folder, "encoder", Encoder(), texts, [context])
