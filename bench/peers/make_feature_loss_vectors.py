"""Writes packages/autodiff/src/feature-loss-vectors.json: losses of hidden values by their papers' formulas in numpy, in
double precision, with gradients by central differences.

    python bench/peers/make_feature_loss_vectors.py        # with numpy installed
"""

import json
import pathlib

import numpy as np

random = np.random.default_rng(5)


def mse(s, t):
    """torch.nn.functional.mse_loss"""
    return np.mean((s - t) ** 2)


def cosine(s, t):
    """torch.nn.functional.cosine_embedding_loss with targets of 1, over the channels of maps or the last axis."""
    axis = 1 if s.ndim == 4 else -1
    dot, of_s, of_t = (np.sum(a * b, axis) for a, b in ((s, t), (s, s), (t, t)))
    return np.mean(1 - dot / np.sqrt((of_s + 1e-12) * (of_t + 1e-12)))


def attention(s, t):
    """at_loss of github.com/szagoruyko/attention-transfer, utils.py"""

    def at(x):
        flat = np.mean(x**2, 1).reshape(len(x), -1)
        return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)

    return np.mean((at(s) - at(t)) ** 2)


def projected(s, w):
    """A linear map of the channels of maps, or of the last axis."""
    return np.einsum("bchw,cd->bdhw", s, w) if s.ndim == 4 else s @ w


def slope(of, x):
    found = np.zeros_like(x)
    for i in range(x.size):
        by = np.zeros(x.size)
        by[i] = 1e-5
        by = by.reshape(x.shape)
        found.flat[i] = (of(x + by) - of(x - by)) / 2e-5
    return found


def case(loss, student, teacher):
    s, t = (random.standard_normal(shape).astype(np.float32).astype(float) for shape in (student, teacher))
    axis = 1 if s.ndim == 4 else -1
    numbers = lambda array: [float(f"{value:.9g}") for value in array.flatten()]
    made = {"loss": loss.__name__, "student": list(student), "teacher": list(teacher), "s": numbers(s), "t": numbers(t)}
    if loss is attention or student == teacher:
        value = lambda x: loss(x, t)
        return {**made, "value": float(value(s)), "gradient": numbers(slope(value, s))}
    w = random.standard_normal((student[axis], teacher[axis])).astype(np.float32).astype(float)
    return {
        **made,
        "w": numbers(w),
        "value": float(loss(projected(s, w), t)),
        "gradient": numbers(slope(lambda x: loss(projected(x, w), t), s)),
        "gradientOfW": numbers(slope(lambda x: loss(projected(s, x), t), w)),
    }


cases = [
    case(mse, (3, 4), (3, 4)),
    case(mse, (3, 4), (3, 5)),
    case(mse, (2, 3, 4), (2, 3, 6)),
    case(mse, (2, 2, 3, 3), (2, 4, 3, 3)),
    case(cosine, (3, 4), (3, 4)),
    case(cosine, (2, 3, 4), (2, 3, 4)),
    case(cosine, (2, 3, 2, 2), (2, 3, 2, 2)),
    case(cosine, (2, 3, 2, 2), (2, 5, 2, 2)),
    case(attention, (2, 3, 3, 2), (2, 3, 3, 2)),
    case(attention, (2, 3, 3, 2), (2, 7, 3, 2)),
]
target = pathlib.Path(__file__).parents[2] / "packages/autodiff/src/feature-loss-vectors.json"
target.write_text(json.dumps(cases) + "\n")
print(f"{target.name}: {len(cases)} cases")
