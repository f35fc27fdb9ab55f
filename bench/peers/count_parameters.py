"""Prints how many weights PyTorch counts in the networks that presets.test.ts builds.

    python bench/peers/count_parameters.py        # with torch installed

The GPT is nanoGPT's model.py (configuration of its README for a CPU), the ResNet the usual one for 32x32 images: a 3x3 stem
without pooling.
"""

from torch import nn


class Block(nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out),
        )
        same = into == out and stride == 1
        self.around = nn.Identity() if same else nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))


def resnet18(classes):
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    into = 64
    for out, stride in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]:
        layers.append(Block(into, out, stride))
        into = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def nano_gpt(bias, layers=4, width=128, context=64, vocabulary=65):
    def block():
        return nn.ModuleList([
            nn.LayerNorm(width, bias=bias), nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width, bias=bias),
            nn.LayerNorm(width, bias=bias), nn.Linear(width, 4 * width, bias=bias), nn.Linear(4 * width, width, bias=bias),
        ])

    embedding = nn.Embedding(vocabulary, width)
    head = nn.Linear(width, vocabulary, bias=False)
    head.weight = embedding.weight
    blocks = [block() for _ in range(layers)]
    return nn.ModuleList([embedding, nn.Embedding(context, width), *blocks, nn.LayerNorm(width, bias=bias), head])


for name, model in [("resnet-18", resnet18(10)), ("nanoGPT", nano_gpt(False)), ("nanoGPT with biases", nano_gpt(True))]:
    print(name, sum(parameter.numel() for parameter in model.parameters()))
