"""Trained networks at hand, and asked in numbers: `python tests/benchmarks/pretrained.py` (nothing else running).

load: a fresh process that loads mnist-lenet and predicts one picture, beside one that imports torch alone.
predict: `zoo predict mnist-lenet` on the 10,000 test pictures of MNIST, from reading their file to the last line,
beside the bare network on tensors that are ready, in the same process and parts of the same size.
Each pair takes turns; medians, with the ratios of the pairs. Needs MNIST (ZOO_DATA_DIR).
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import zoo
from zoo.models.classifier import AT_ONCE
from zoo.shell import main

ROOT = Path(__file__).parent.parent.parent
DIGITS = Path(os.environ.get("ZOO_DATA_DIR") or ROOT / "data" / "cache") / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
ONE = "import zoo; print(zoo.load('mnist-lenet').predict('digit.png'))"


def process(code: str, folder: str) -> float:
    """Seconds of a fresh process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def asked() -> float:
    """Seconds of the whole command, less its imports."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.suppress(SystemExit):
        started = time.perf_counter()
        main(["predict", "mnist-lenet", str(DIGITS)])
    return time.perf_counter() - started


@torch.no_grad()
def bare(network: torch.nn.Module, x: torch.Tensor) -> float:
    """Seconds of the network alone."""
    started = time.perf_counter()
    for part in x.split(AT_ONCE):
        network(part)
    return time.perf_counter() - started


def told(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Medians, and the ratios theirs / ours of the pairs."""
    ratios = sorted(t / o for o, t in zip(ours, theirs, strict=True))
    return {
        "ours": round(statistics.median(ours), 3),
        "reference": round(statistics.median(theirs), 3),
        "reference / ours": round(statistics.median(ratios), 3),
        "least": round(ratios[0], 3),
        "most": round(ratios[-1], 3),
    }


if __name__ == "__main__":
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        raw = torch.frombuffer(bytearray(DIGITS.read_bytes()[16:]), dtype=torch.uint8).view(-1, 28, 28)
        Image.fromarray(raw[0].numpy()).save(Path(folder) / "digit.png")
        pairs = [(process(ONE, folder), process("import torch", folder)) for _ in range(10)][1:]  # the first warms up
        print(json.dumps({"load": told(*map(list, zip(*pairs, strict=True)))}))
    network = zoo.load("mnist-lenet")
    x = (raw[:, None].float() / 255 - 0.1307) / 0.3081
    pairs = [(asked(), bare(network, x)) for _ in range(22)][2:]
    print(json.dumps({"predict": told(*map(list, zip(*pairs, strict=True))), "pictures": len(x)}))
