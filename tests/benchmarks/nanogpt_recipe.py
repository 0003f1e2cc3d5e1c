"""Time to 1.88 on Shakespeare: `python tests/benchmarks/nanogpt_recipe.py` (nothing else running; some minutes).

Reference: the recipe that nanoGPT's README gives for a laptop (0.8 M parameters, 2,000 steps of 12 windows of 64
characters, drawn at random), as the plain PyTorch loop that everybody writes, in float32 with PyTorch's kernels.
Ours: `experiment=shakespeare_transformer_fast`, the same network. The two take turns, each in a process of its own.
Both are judged alike: the loss over the whole last tenth, cut into windows of 64, and the seconds from the first step
to the last; `command` is the whole of ours with imports, test and figures.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from zoo.registry import build

ROOT = Path(__file__).parent.parent.parent
PAIRS, STEPS, WARM_UP, BATCH, CONTEXT = 3, 2000, 100, 12, 64
PEAK, FLOOR = 1e-3, 1e-4  # learning rates


def plain(seed: int) -> dict[str, float]:
    """The reference: seconds of training and the loss at its end."""
    torch.manual_seed(seed)
    data = build("data", "shakespeare", {"sequence_length": CONTEXT})
    data.load()
    (text,), (held_out,) = data.train, data.test
    network = build(
        "model", "char_transformer", {"vocabulary": data.vocabulary, "context_length": CONTEXT, "bias": False}
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK, betas=(0.9, 0.99), weight_decay=0.1)
    started = time.perf_counter()
    for step in range(STEPS):
        falling = FLOOR + (PEAK - FLOOR) * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP))) / 2
        optimizer.param_groups[0]["lr"] = PEAK * (step + 1) / WARM_UP if step < WARM_UP else falling
        starts = torch.randint(len(text) - CONTEXT, (BATCH, 1))
        window = text[starts + torch.arange(CONTEXT + 1)]  # (B, T + 1)
        loss = F.cross_entropy(network(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - started
    network.eval()
    with torch.no_grad():
        whole = network.loss((held_out[None, :-1], held_out[None, 1:]))["loss"]
    return {"loss": float(whole), "seconds": seconds}


def ours(seed: int) -> dict[str, float]:
    """The same of the experiment, and the seconds of the whole command."""
    command = [sys.executable, str(ROOT / "train.py"), "experiment=shakespeare_transformer_fast", f"seed={seed}"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - started
    result = json.loads(done.stdout)
    return {"loss": result["metrics"]["test/loss"], "seconds": result["seconds"]["fit"], "command": seconds}


if __name__ == "__main__":
    if sys.argv[1:] == ["plain"]:
        print(json.dumps(plain(int(sys.stdin.read()))))
        sys.exit()
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
    for seed in range(PAIRS):
        this = [sys.executable, __file__, "plain"]
        done = subprocess.run(this, input=str(seed), stdout=subprocess.PIPE, text=True, check=True)
        runs["plain"].append(json.loads(done.stdout))
        runs["ours"].append(ours(seed))
        print(json.dumps({name: values[-1] for name, values in runs.items()}), file=sys.stderr)
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(runs["plain"], runs["ours"], strict=True)]
    summary = {"threads": torch.get_num_threads(), "ratio": round(statistics.median(ratios), 3)}
    for name, values in runs.items():
        for key in values[0]:
            summary[f"{name}_{key}"] = round(statistics.median(run[key] for run in values), 4)
    print(json.dumps(summary))
