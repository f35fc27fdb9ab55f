"""Writes packages/autodiff/src/loss-vectors.json: values and gradients of losses as PyTorch has them.

    python bench/peers/make_loss_vectors.py        # with torch 2.13 (CPU) installed
"""

import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(3)


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def case(name, loss, shape, targets, value):
    x = (2 * torch.randn(*shape)).requires_grad_()
    result = value(x)
    result.backward()
    return {
        "name": name,
        "loss": loss,
        "shape": list(shape),
        "x": numbers(x),
        "targets": targets.flatten().tolist(),
        "value": float(result.detach()),
        "gradient": numbers(x.grad),
    }


classes = torch.tensor([0, 3, 1, 2, 3, 0])
some = torch.tensor([0, 3, -100, 2, -100, 1])
words = torch.randint(0, 5, (2, 4))
many = torch.randint(0, 700, (3,))
some40 = torch.arange(7) * 6
yes = torch.tensor([[1.0], [0.0], [1.0], [0.25]])
y = torch.randn(5, 2)
w = [0.5, 2.0, 1.0, 0.25]
ce = {"kind": "cross_entropy"}
cases = [
    case("cross-entropy", ce, (6, 4), classes, lambda x: F.cross_entropy(x, classes)),
    case(
        "cross-entropy with class weights",
        {**ce, "classWeights": w},
        (6, 4),
        classes,
        lambda x: F.cross_entropy(x, classes, torch.tensor(w)),
    ),
    case(
        "cross-entropy with label smoothing",
        {**ce, "labelSmoothing": 0.1},
        (6, 4),
        classes,
        lambda x: F.cross_entropy(x, classes, label_smoothing=0.1),
    ),
    case(
        "cross-entropy that ignores a target",
        {**ce, "ignoreIndex": -100},
        (6, 4),
        some,
        lambda x: F.cross_entropy(x, some),
    ),
    case(
        "cross-entropy with all of that",
        {**ce, "classWeights": w, "labelSmoothing": 0.2, "ignoreIndex": -100},
        (6, 4),
        some,
        lambda x: F.cross_entropy(x, some, torch.tensor(w), label_smoothing=0.2),
    ),
    case(
        "cross-entropy of every place of a text",
        ce,
        (2, 4, 5),
        words,
        lambda x: F.cross_entropy(x.reshape(8, 5), words.reshape(8)),
    ),
    case("cross-entropy of some classes", ce, (7, 40), some40, lambda x: F.cross_entropy(x, some40)),
    case("cross-entropy of many classes", ce, (3, 700), many, lambda x: F.cross_entropy(x, many)),
    case(
        "binary cross-entropy",
        {"kind": "binary_cross_entropy"},
        (4, 1),
        yes,
        lambda x: F.binary_cross_entropy_with_logits(x, yes),
    ),
    case(
        "binary cross-entropy with a weight of what is",
        {"kind": "binary_cross_entropy", "positiveWeight": 3},
        (4, 1),
        yes,
        lambda x: F.binary_cross_entropy_with_logits(x, yes, pos_weight=torch.tensor([3.0])),
    ),
    case("mean squared error", {"kind": "mse"}, (5, 2), y, lambda x: F.mse_loss(x, y)),
    case("mean absolute error", {"kind": "mae"}, (5, 2), y, lambda x: F.l1_loss(x, y)),
    case("Huber's loss", {"kind": "huber", "delta": 0.7}, (5, 2), y, lambda x: F.huber_loss(x, y, delta=0.7)),
    case(
        "a weighted sum",
        [{"kind": "mse", "weight": 0.3}, {"kind": "huber", "delta": 1, "weight": 2}],
        (5, 2),
        y,
        lambda x: 0.3 * F.mse_loss(x, y) + 2 * F.huber_loss(x, y),
    ),
]


def distillation(temperature):
    """Hinton et al. 2015, by PyTorch's divergence of Kullback and Leibler."""
    torch.manual_seed(4)
    student, teacher = (2 * torch.randn(6, 4)).requires_grad_(), 2 * torch.randn(6, 4)
    soft = (F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1))
    value = F.kl_div(*soft, reduction="batchmean") * temperature**2
    value.backward()
    numbers_of = {"x": numbers(student), "teacher": numbers(teacher), "gradient": numbers(student.grad)}
    return {"temperature": temperature, "shape": [6, 4], "value": float(value.detach()), **numbers_of}


taught = [distillation(1), distillation(4)]
vectors = {"torch": torch.__version__.split("+")[0], "cases": cases, "distillations": taught}
target = pathlib.Path(__file__).parents[2] / "packages/autodiff/src/loss-vectors.json"
target.write_text(json.dumps(vectors) + "\n")
print(f"{target.name}: {len(cases)} cases")
