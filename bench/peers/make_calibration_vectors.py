"""Writes what ONNX Runtime's entropy calibration (2048 bins, 128 levels) finds in some histograms, as JSON to stdout."""

import json

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector

rng = np.random.default_rng(7)
samples = {
    "normal": rng.normal(size=60_000),
    "long tail": rng.standard_t(3, size=60_000),
    "after a Relu": np.maximum(rng.normal(size=60_000), 0) * np.exp(rng.normal(size=60_000)),
    "few values": np.repeat([0.5, -1.0, 4.0], 50),
}

vectors = []
for name, values in samples.items():
    values = values.astype(np.float32)
    limit = float(np.max(np.abs(values)))
    counts, edges = np.histogram(values, bins=2048, range=(-limit, limit))
    collector = HistogramCollector("entropy", True, 2048, 128, 99.999, "same")
    low, high = collector.get_entropy_threshold(
        (counts, edges, np.float32(values.min()), np.float32(values.max()), limit), 128
    )[:2]
    vectors.append(
        {
            "name": name,
            "limit": limit,
            "min": float(values.min()),
            "max": float(values.max()),
            "counts": counts.tolist(),
            "range": [float(low), float(high)],
        }
    )
print(json.dumps(vectors))
