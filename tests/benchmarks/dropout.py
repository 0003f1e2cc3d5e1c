"""Our dropout beside PyTorch's on a CPU: `python tests/benchmarks/dropout.py` (nothing else running).

Milliseconds for a million numbers, forward and backward; the two take turns, medians.
"""

import json
import statistics
import time

import torch
from torch import nn

from zoo.models.dropout import Dropout

TURNS = 31

if __name__ == "__main__":
    seconds: dict[str, list[float]] = {"pytorch": [], "ours": []}
    layers = {"pytorch": nn.Dropout(0.1), "ours": Dropout(0.1)}
    x = torch.randn(4096, 256, requires_grad=True)
    for turn in range(TURNS + 3):
        for name, layer in layers.items():
            started = time.perf_counter()
            layer(x).sum().backward()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = round(median["ours"] / median["pytorch"], 3)
    print(json.dumps({name: round(1e3 * value, 2) for name, value in median.items()} | {"ratio": ratio}))
